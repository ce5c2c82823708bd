"""The data of a training as Lightning wants it."""

from __future__ import annotations

import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.loops.progress import _BatchProgress
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.data import DataLoader

from seq2seq_fast.data import (
    Collate,
    Corpus,
    InMemoryCorpus,
    InputError,
    PairDataset,
    PairStore,
    SentencePair,
    TokenBudgetSampler,
    Vocabulary,
    WordAlignments,
    build_vocabulary,
    load_vocabulary,
    open_store,
    read_pharaoh,
    sample,
)
from seq2seq_fast.data.encoding import EMPTY, told_left_out
from seq2seq_fast.data.scripts import stands_apart
from seq2seq_fast.progress import Progress, tell
from seq2seq_fast.training.config import DataConfig, OptimizationConfig, VocabularyConfig

# Attention, and the memory for it, grows with the square of a sentence's length.
_LONGEST_VALIDATED = 5000
# Lines that tell of a text whether spaces separate its words.
_LOOKED_AT = 2000


class PairDataModule(pl.LightningDataModule):
    """Training and validation batches of a parallel corpus.

    Args:
        config: the files and the batches.
        vocabularies: source and target vocabulary, the same object for a joint one.
        train, validation: the pairs as text; those to train on come from memory, or go through ``config.cache``.
        alignments: of the training pairs' words.
        seed: of the shuffles.
        processes: how many train together; each takes its part of every batch.
        progress: show how far the tokenising is.

    Attributes:
    """

    def __init__(
        self,
        config: DataConfig,
        vocabularies: tuple[Vocabulary, Vocabulary],
        train: Corpus,
        validation: list[SentencePair],
        *,
        alignments: WordAlignments | None = None,
        seed: int = 0,
        processes: int = 1,
        progress: bool = False,
    ) -> None:
        super().__init__()
        self._config, self._seed, self._processes = config, seed, processes
        self._skip = 0
        self._resumed: dict[str, Any] = {}
        self._collate = Collate(vocabularies[0].pad_id, vocabularies[1].pad_id)
        self._train = _encoded(config, vocabularies, train, alignments, progress)
        # Every validation sentence counts for BLEU, however long it is.
        self._validation = PairDataset(validation, *vocabularies)
        self._check_validation()
        if len(self._train) == 0:
            raise InputError(
                f"{config.name('train')}: no training pair has 1 to {config.max_length} pieces on both sides "
                f"({told_left_out(self._train.left_out)}): see data.max_length, and the files' empty lines"
            )
        if min(len(self._train), len(self._validation)) < processes:
            raise InputError(
                f"{processes} processes cannot share {len(self._train):,} training and {len(self._validation):,} "
                "validation pairs: each needs one of both"
            )
        self._batches = len(self._sampler(self._train, config.batch_tokens, shuffle=True))
        self._checked: int | None = None

    def _check_validation(self) -> None:
        longest = max(range(len(self._validation)), key=lambda pair: max(self._validation.lengths[pair]), default=None)
        pieces = 0 if longest is None else max(self._validation.lengths[longest])
        if longest is not None and pieces > _LONGEST_VALIDATED:
            raise InputError(
                f"{self._config.name('validation')}: validation pair {longest + 1:,} has "
                f"{pieces:,} pieces; {_LONGEST_VALIDATED:,} can be validated at most: split it, or leave it out"
            )

    def told_pairs(self) -> str:
        """Return in words how many pairs there are, and how many are left out, and why."""
        out = [told_left_out(self._train.left_out)]
        if isinstance(self._train, PairDataset) and self._train.not_linked:
            lines = f"of {self._config.train_alignment}'s lines {told_left_out(self._train.not_linked)}"
            out.append(f"{lines}; their pairs are trained on without an alignment")
        # Every one counts for BLEU.
        validated = [told_left_out(self._validation.left_out)]
        empty = sum(min(source - 1, target - 2) == 0 for source, target in self._validation.lengths)
        if empty:
            validated.append(f"{empty:,} {EMPTY} on a side, validated as they are")
        pairs = len(self._train) + self._train.left_out.total()
        return (
            f"{pairs:,} training pairs ({'; '.join(out)}), "
            f"{len(self._validation):,} validation pairs ({'; '.join(validated)})"
        )

    @property
    def batches_per_epoch(self) -> int:
        """The number of training batches in the first epoch; the others have about as many."""
        return self._batches

    def train_dataloader(self) -> DataLoader:
        """Return the batches of the epoch that begins; the trainer asks for them at the begin of each."""
        skip, self._skip = self._skip, 0
        epoch = 0 if self.trainer is None else self.trainer.current_epoch
        return self._loader(self._train, self._config.batch_tokens, shuffle=True, skip=skip, epoch=epoch)

    def state_dict(self) -> dict[str, Any]:
        progress = self.trainer.fit_loop.epoch_loop.batch_progress
        return {"batches_done": 0 if progress.is_last_batch else progress.current.ready, "layout": self._layout()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._resumed = state_dict
        # Lightning counts the batches that an interrupted epoch has done, but leaves it to the loader to skip them.
        self._skip = state_dict["batches_done"] if self._goes_on() else 0

    def goes_on_within(self, progress: _BatchProgress) -> bool:
        """Mend Lightning's count of an epoch's batches where a training goes on with others.

        Returns:
            Whether they are those of before; if not, an epoch that was interrupted begins anew.
        """
        if not self._resumed or self._goes_on():
            return True
        ended = self._resumed["batches_done"] == 0 and progress.current.ready > 0
        count = self.trainer.num_training_batches if ended else 0
        for name in ("ready", "started", "processed", "completed"):
            setattr(progress.current, name, count)
        progress.is_last_batch = ended
        return ended

    def _goes_on(self) -> bool:
        """Whether the batches are those of the training that goes on."""
        known = self._resumed.get("layout")
        # Version 0.1.0 does not know them.
        return known == self._layout() if known else self._resumed["batches_done"] < self._batches

    def _layout(self) -> int:
        """Return what changes whenever the batches of an epoch do."""
        if self._checked is None:
            config = (self._config.batch_tokens, self._config.pool_batches, self._seed, self._processes)
            self._checked = zlib.crc32(repr(config).encode())
            for begin in range(0, len(self._train), 2**20):  # those on disk are not all read into memory
                part = np.ascontiguousarray(self._train.lengths[begin : begin + 2**20])
                self._checked = zlib.crc32(part, self._checked)
        return self._checked

    def val_dataloader(self) -> DataLoader:
        # Without gradients a batch needs little memory, and a larger one is decoded faster.
        return self._loader(self._validation, 2 * self._config.batch_tokens, shuffle=False)

    def _loader(
        self, dataset: PairDataset | PairStore, batch_tokens: int, *, shuffle: bool, skip: int = 0, epoch: int = 0
    ) -> DataLoader:
        sampler = self._sampler(dataset, batch_tokens, shuffle=shuffle, skip=skip)
        sampler.set_epoch(epoch)
        return DataLoader(
            dataset,
            batch_sampler=sampler,
            collate_fn=self._collate,
            num_workers=self._config.workers,
            # One of its own, so that drawing the workers' seeds does not move the generator of the dropout masks.
            generator=torch.Generator(),
        )

    def _sampler(
        self, dataset: PairDataset | PairStore, batch_tokens: int, *, shuffle: bool, skip: int = 0
    ) -> TokenBudgetSampler:
        return TokenBudgetSampler(
            dataset.lengths,
            batch_tokens,
            shuffle=shuffle,
            pool_batches=self._config.pool_batches,
            seed=self._seed,
            skip=skip,
            shards=self._processes,
            shard=0 if self.trainer is None else self.trainer.global_rank,
        )


def _encoded(
    config: DataConfig,
    vocabularies: tuple[Vocabulary, Vocabulary],
    train: Corpus,
    alignments: WordAlignments | None,
    progress: bool,
) -> PairDataset | PairStore:
    if not isinstance(train, InMemoryCorpus):
        assert config.cache is not None
        return open_store(
            config.cache, train, *vocabularies, max_length=config.max_length, workers=config.workers, progress=progress
        )
    with Progress("tokenise", "pairs", len(train.pairs), shown=progress) as shown:
        return PairDataset(train.pairs, *vocabularies, max_length=config.max_length, alignments=alignments, shown=shown)


def load_pairs(config: DataConfig) -> tuple[Corpus, list[SentencePair]]:
    """Return the training pairs, in memory unless there is a cache, and the validation pairs."""
    train = config.corpus("train")
    return (InMemoryCorpus(train) if config.cache is None else train), list(config.corpus("validation"))


def load_alignments(config: DataConfig, optimization: OptimizationConfig, train: Corpus) -> WordAlignments | None:
    """Read the training pairs' word alignments, where the settings want them.

    Raises:
        InputError: the file cannot be used, or only one of the file and the weight of its loss is given.
    """
    if config.train_alignment is None:
        if optimization.guided_alignment > 0:
            raise InputError("optimization.guided_alignment needs data.train_alignment: name a Pharaoh file")
        return None
    if optimization.guided_alignment == 0:
        raise InputError("data.train_alignment is there but optimization.guided_alignment is 0: give the loss a weight")
    if not isinstance(train, InMemoryCorpus):
        raise InputError("data.train_alignment does not go with data.cache: alignments are kept in memory")
    path = Path(config.folder, config.train_alignment)
    links = read_pharaoh(path)
    if len(links) != len(train.pairs):
        raise InputError(
            f"{path} has {len(links):,} lines for {len(train.pairs):,} training pairs: line N must align pair N"
        )
    return WordAlignments(str(path), links, config.alignment_words)


def make_vocabularies(
    config: VocabularyConfig, train: Corpus, seed: int = 0, progress: bool = False, *, name: str = "the training text"
) -> tuple[Vocabulary, Vocabulary]:
    """Load or build source and target vocabulary; a joint one is the same object twice.

    Args:
        config: which.
        train: the text to build them of.
        seed: of the draw of sentences, where there are many.
        progress: show how far the reading is.
        name: what an error calls the text.

    Raises:
        InputError: a file holds no vocabulary, or the text gives none.
    """
    if config.joint and config.target is not None and config.target != config.source:
        raise InputError("a joint vocabulary is named by vocabulary.source alone, or set vocabulary.joint to false")
    given = config.source is not None and (config.joint or config.target is not None)
    pairs = []
    if not given:
        with Progress("read for the vocabulary", "pairs", shown=progress) as shown:
            pairs = sample(shown.over(train), config.sentences, seed)
        _tell_left_out(pairs, shown.done)
    sources, targets = [pair.source for pair in pairs], [pair.target for pair in pairs]
    if config.kind == "words":
        _tell_unspaced({"source": [] if config.source else sources, "target": [] if config.target else targets})
    if not given:
        for side in range(2):
            if not any(pair[side] for pair in pairs):
                raise InputError(f"{name}: has only empty {('source', 'target')[side]} lines: give it text")
    if config.joint:
        joint = load_vocabulary(config.source) if config.source else _build(sources + targets, config, progress)
        return joint, joint
    source = load_vocabulary(config.source) if config.source else _build(sources, config, progress)
    target = load_vocabulary(config.target) if config.target else _build(targets, config, progress)
    return source, target


@rank_zero_only
def _tell_left_out(pairs: list[SentencePair], read: int) -> None:
    """Say what a vocabulary is not built of."""
    if len(pairs) < read:
        built = f"the vocabulary is built of {len(pairs):,} of {read:,} training pairs"
        tell(f"{built}, drawn at random: see vocabulary.sentences")
    empty = sum(not line for pair in pairs for line in pair)
    if empty:
        lines = f"{2 * len(pairs):,} lines of the training pairs"
        tell(f"the vocabulary is built of {lines} ({told_left_out(Counter({EMPTY: empty}))})")


@rank_zero_only
def _tell_unspaced(sides: dict[str, list[str]]) -> None:
    """Warn of text whose words a vocabulary of words would not find."""
    unspaced = [side for side, lines in sides.items() if not stands_apart(lines[:_LOOKED_AT])]
    if unspaced:
        tell(
            f"seq2seq-fast: warning: vocabulary.kind words: the {' and '.join(unspaced)} text has no spaces between "
            "words, so that whole sentences would be words: take vocabulary.kind unigram, bpe or characters"
        )


def _build(lines: list[str], config: VocabularyConfig, progress: bool) -> Vocabulary:
    with Progress("build the vocabulary", "sentences", len(lines), shown=progress) as shown:
        return build_vocabulary(shown.over(lines), config.kind, config.size)
