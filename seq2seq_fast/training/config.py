"""The training command's settings. Each field is a flag of ``seq2seq-fast train`` and a key of its YAML file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from seq2seq_fast.data import Corpus, DatasetCorpus, InputError, TextCorpus, VocabularyKind, check_ranges


@dataclass
class DataConfig:
    """Sentence pairs and how they become batches.

    Args:
        train_source: Text file of source sentences, one a line (.gz is read too); or a TSV file of source and target.
        train_target: Text file whose line N translates line N of train_source; left out for a TSV file.
        validation_source: As train_source, for the sentences that are translated and scored during training.
        validation_target: As train_target, for validation_source.
        train_alignment: Pharaoh file whose line N aligns the words of training pair N (0-0 2-1, source word first), for
            optimization.guided_alignment.
        alignment_words: What its words are: all between two spaces, or words and signs, each sign a word of its own.
        folder: Folder that the names are relative to.
        dataset: In place of the files: a dataset of the `datasets` library, by its name on the hub or as a folder of
            this machine (Parquet, JSON or CSV files, or what save_to_disk wrote).
        dataset_config: The dataset's configuration, such as de-en.
        dataset_streaming: Read the dataset as a stream, without a copy on this machine.
        train_split: The dataset's split to train on.
        validation_split: The dataset's split that is translated and scored during training.
        source_language: Source language in the dataset's column of translations, or the column of source sentences;
            left out for the column's first language.
        target_language: As source_language, for the target; left out for the second language.
        cache: Folder that keeps the tokenised training pairs as memory-mapped files, so that a corpus of any size never
            needs to be in memory; the next training on the same text, vocabulary and max_length finds them there. Null
            keeps the pairs in memory.
        max_length: Leave out training pairs with more pieces than this on either side.
        batch_tokens: The most tokens of a batch, padding included, counted on its longer side.
        pool_batches: Sentences are sorted by length in pools of this many batches: more leaves less padding.
        workers: Processes that tokenise for the cache, and that prepare batches beside the training; 0 does both in the
            training's own.
    """

    train_source: str = ""
    train_target: str | None = None
    validation_source: str = ""
    validation_target: str | None = None
    train_alignment: str | None = None
    alignment_words: Literal["spaces", "signs"] = "spaces"
    folder: str = "."
    dataset: str | None = None
    dataset_config: str | None = None
    dataset_streaming: bool = False
    train_split: str = "train"
    validation_split: str = "validation"
    source_language: str | None = None
    target_language: str | None = None
    cache: str | None = None
    max_length: int = 100
    batch_tokens: int = 2000
    pool_batches: int = 100
    workers: int = 0

    def __post_init__(self) -> None:
        check_ranges("data", self, at_least={"max_length": 1, "batch_tokens": 1, "pool_batches": 1, "workers": 0})

    def name(self, split: Literal["train", "validation"]) -> str:
        """Return what errors call the pairs of a split."""
        if self.dataset is not None:
            return f"dataset {self.dataset}"
        files = (getattr(self, f"{split}_{side}") for side in ("source", "target"))
        return " and ".join(str(Path(self.folder, file)) for file in files if file)

    def corpus(self, split: Literal["train", "validation"]) -> Corpus:
        """Return the pairs of a split, as text.

        Raises:
            InputError: the split has no source, or two.
        """
        source: str = getattr(self, f"{split}_source")
        target: str | None = getattr(self, f"{split}_target")
        if self.dataset is not None:
            if source or target:
                raise InputError(f"data.dataset and data.{split}_source: name one of them, not both")
            return DatasetCorpus(
                self.dataset,
                self.train_split if split == "train" else self.validation_split,
                configuration=self.dataset_config,
                source=self.source_language,
                target=self.target_language,
                streaming=self.dataset_streaming,
            )
        if not source:
            raise InputError(f"data.{split}_source is missing: name a text file of source sentences, or data.dataset")
        return TextCorpus(Path(self.folder, source), Path(self.folder, target) if target else None)


@dataclass
class VocabularyConfig:
    """The pieces that text is cut into.

    Args:
        kind: Subwords by sentencepiece (bpe or unigram), words, or characters.
        size: Number of pieces of each vocabulary, at most.
        joint: One vocabulary for both languages, so that their embeddings can be shared.
        source: File of a vocabulary to use as it is (a sentencepiece model or one that this program wrote).
        target: As source, for the target language; a joint vocabulary needs source only.
        sentences: The most training pairs that a vocabulary is built of; of more, these many are drawn at random.
    """

    kind: VocabularyKind = "bpe"
    size: int = 8000
    joint: bool = True
    source: str | None = None
    target: str | None = None
    sentences: int = 1_000_000

    def __post_init__(self) -> None:
        check_ranges("vocabulary", self, at_least={"size": 1, "sentences": 1})


@dataclass
class OptimizationConfig:
    """The optimizer and what steers it.

    Args:
        optimizer: Adam, AdamW, or Adadelta (the one of Bahdanau et al., with learning_rate 1).
        learning_rate: Its highest value, reached after the warm-up.
        weight_decay: Decay of the weights; decoupled with adamw.
        schedule: Cosine decay to zero over the budget, decay by the inverse square root of the step, or constant.
        warmup_steps: Steps over which the learning rate rises from zero.
        gradient_clip: The largest norm of the whole gradient; 0 leaves it as it is.
        label_smoothing: Share of the target probability that is spread over the whole vocabulary.
        accumulate: Batches whose gradients make one step.
        guided_alignment: Weight in the loss of the cross entropy between the attention and data.train_alignment (Chen
            et al. 2016); 0 does without.
    """

    optimizer: Literal["adam", "adamw", "adadelta"] = "adam"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    schedule: Literal["cosine", "inverse_sqrt", "constant"] = "cosine"
    warmup_steps: int = 200
    gradient_clip: float = 1.0
    label_smoothing: float = 0.1
    accumulate: int = 1
    guided_alignment: float = 0.0

    def __post_init__(self) -> None:
        least = {"weight_decay": 0, "warmup_steps": 0, "gradient_clip": 0, "accumulate": 1, "guided_alignment": 0}
        check_ranges("optimization", self, at_least=least, above_zero=("learning_rate",), shares=("label_smoothing",))


@dataclass
class EvaluationConfig:
    """How translations are scored.

    Args:
        tokenize: sacreBLEU's tokenizer for BLEU; auto takes zh for Chinese, ja-mecab and ko-mecab where they are
            installed, char for other text without spaces between words (Thai, Khmer, Tibetan, ...), and 13a for the
            rest.
    """

    tokenize: Literal[
        "auto", "13a", "intl", "zh", "ja-mecab", "ko-mecab", "char", "spm", "flores101", "flores200", "none"
    ] = "auto"


@dataclass
class TeacherForcingConfig:
    """What the decoder reads in training: the gold piece before each position, or the piece that it predicts itself.

    Args:
        ratio: Share of gold pieces at the begin; 1 with constant decay is teacher forcing throughout.
        decay: How the share falls with the steps (Bengio et al. 2015).
        decay_rate: With linear decay what the share loses at each step; with exponential decay the factor of each step,
            up to 1; with inverse_sigmoid k in k / (k + exp(step / k)), at least 1.
        least: The share that it never falls below.
        form: Predictions position by position, or in passes over the whole sequence, which is faster.
        passes: Passes of the parallel form, the one that trains counted; each predicts from the mixture of the last.
        prediction: The most probable piece, or one drawn from the predicted distribution.
    """

    ratio: float = 1.0
    decay: Literal["constant", "linear", "exponential", "inverse_sigmoid"] = "constant"
    decay_rate: float | None = None
    least: float = 0.0
    form: Literal["parallel", "sequential"] = "parallel"
    passes: int = 2
    prediction: Literal["best", "sample"] = "best"

    def __post_init__(self) -> None:
        check_ranges("teacher_forcing", self, at_least={"passes": 2})
        for name in ("ratio", "least"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"teacher_forcing.{name} must lie between 0 and 1; got {getattr(self, name):g}")
        if self.least > self.ratio:
            raise InputError(
                f"teacher_forcing.least must be at most teacher_forcing.ratio {self.ratio:g}; got {self.least:g}"
            )
        rate = self.decay_rate
        if self.decay == "constant":
            if rate is not None:
                raise InputError(f"teacher_forcing.decay_rate {rate:g} needs a decay; the decay is constant")
            return
        holds, wanted = {
            "linear": (rate is not None and 0 < rate < math.inf, "larger than 0 and finite"),
            "exponential": (rate is not None and 0 < rate <= 1, "larger than 0 and at most 1"),
            "inverse_sigmoid": (rate is not None and rate >= 1, "at least 1"),
        }[self.decay]
        if not holds:
            got = "nothing" if rate is None else f"{rate:g}"
            raise InputError(f"teacher_forcing.decay_rate must be {wanted} for {self.decay} decay; got {got}")

    def share(self, step: int) -> float:
        """Return the share of gold pieces at a step of the optimizer, from 0 (Bengio et al. 2015, section 2.4)."""
        rate = self.decay_rate or 0.0
        if self.decay == "linear":
            share = self.ratio - rate * step
        elif self.decay == "exponential":
            share = self.ratio * rate**step
        elif self.decay == "inverse_sigmoid":
            # k / (k + e^x) = 1 / (1 + e^(x - log k)), whose exponential is cut before it overflows.
            share = self.ratio / (1.0 + math.exp(min(step / rate - math.log(rate), 700.0)))
        else:
            share = self.ratio
        return max(share, self.least)


@dataclass
class TrainingConfig:
    """How long training takes, where it runs, and where it writes.

    Args:
        output: Folder to write: the model, and under training/ the checkpoints, the logs and the settings.
        max_minutes: Time budget. The schedule is fitted to it, and training stops when it is spent.
        max_epochs: The most passes over the training set; 10 where neither minutes nor epochs nor steps are limited.
        max_steps: The most steps of the optimizer.
        validate_every: Epochs between validations; less than 1 validates several times an epoch.
        patience: Stop after this many validations without a better BLEU, or an equal one with a lower loss; 0 never
            stops early, and neither does a BLEU that has never been above 0.
        average: Validate and keep a running average of the weights, which keeps this share of itself at each step
            (0.999, say); 0 keeps the weights themselves.
        keep_best: How many of the best checkpoints (by BLEU) to keep.
        keep_last: How many of the checkpoints of the last validations to keep besides.
        average_checkpoints: When training ends, average the weights of this many kept checkpoints, and write the
            average if its validation BLEU is better than the best checkpoint's; 0 averages none.
        average_of: Which checkpoints average_checkpoints takes, the best or the last.
        average_always: Write the average even where it is not better.
        resume: Go on from the last checkpoint in output. What the settings say now holds from there on, such as another
            learning_rate; vocabulary, model and optimizer must be those that it began with.
        overwrite: Replace the model that output already holds, or other files with the names of a model's.
        device: Where to train; auto takes a GPU where there is one.
        devices: Processes of this machine that train together, one a device. Under torchrun it is torchrun that says.
        nodes: Machines that train together, each with as many devices. Under torchrun it is torchrun that says.
        precision: 32, bf16 (mixed: weights and their gradients stay in 32 bits), or 64; auto takes bf16 on a GPU that
            has it, and 32 elsewhere.
        tf32: On a GPU, multiply 32-bit numbers in TF32, in products and recurrences: several times as fast, good to
            about three digits. Without it they are exact.
        seed: Of initial weights, dropout and shuffles.
        logger: Write the curves for TensorBoard, as a CSV file, or both.
        progress: Show the progress bar.
    """

    output: str = "model"
    max_minutes: float | None = None
    max_epochs: int | None = None
    max_steps: int | None = None
    validate_every: float = 1.0
    patience: int = 0
    average: float = 0.0
    keep_best: int = 1
    keep_last: int = 0
    average_checkpoints: int = 0
    average_of: Literal["best", "last"] = "best"
    average_always: bool = False
    resume: bool = False
    overwrite: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"
    devices: int = 1
    nodes: int = 1
    precision: Literal["auto", "32", "bf16", "64"] = "auto"
    tf32: bool = False
    seed: int = 1
    logger: Literal["tensorboard", "csv", "both"] = "both"
    progress: bool = True

    def __post_init__(self) -> None:
        least = {
            "max_epochs": 1, "max_steps": 1, "patience": 0, "keep_best": 1, "keep_last": 0, "average_checkpoints": 0,
            "devices": 1, "nodes": 1, "seed": 0,
        }  # fmt: skip
        # A generator takes no larger seed, and a clock counts no more minutes.
        most = {"seed": 2**32 - 1, "max_minutes": 10**9}
        above_zero = ("max_minutes", "validate_every")
        check_ranges("training", self, at_least=least, at_most=most, above_zero=above_zero, shares=("average",))
        if self.average_checkpoints == 1:
            raise InputError("training.average_checkpoints must be 0 or at least 2; got 1")
        if self.max_minutes is None and self.max_epochs is None and self.max_steps is None:
            self.max_epochs = 10
