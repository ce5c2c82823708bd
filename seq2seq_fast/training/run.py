"""A whole training: from files to a model folder."""

from __future__ import annotations

import errno
import logging
import shutil
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from seq2seq_fast.data import InputError, Vocabulary
from seq2seq_fast.data.files import cannot_write
from seq2seq_fast.decoding.model_folder import WEIGHTS, fingerprint, load_vocabularies, save_model_folder
from seq2seq_fast.evaluation import choose_tokenizer
from seq2seq_fast.nn import Seq2Seq
from seq2seq_fast.ops import use_tf32
from seq2seq_fast.progress import tell
from seq2seq_fast.training.allocator import keep_freed_memory
from seq2seq_fast.training.average import WeightAverage
from seq2seq_fast.training.beginning import Beginning, begin_from
from seq2seq_fast.training.callbacks import (
    Budget,
    FiniteLoss,
    LastCheckpoint,
    ProgressBar,
    ProgressLines,
    TokensPerSecond,
    ValidationReport,
)
from seq2seq_fast.training.checkpoints import WholeCheckpoints, check_resumable, read_weights
from seq2seq_fast.training.checks import CURVES, check_model, check_output, model_config
from seq2seq_fast.training.config import (
    DataConfig,
    EvaluationConfig,
    OptimizationConfig,
    TeacherForcingConfig,
    TrainingConfig,
    VocabularyConfig,
)
from seq2seq_fast.training.curves import Curves
from seq2seq_fast.training.data_module import PairDataModule, load_alignments, load_pairs, make_vocabularies
from seq2seq_fast.training.endings import Interruption, told_endings
from seq2seq_fast.training.final_average import Kept, kept_by
from seq2seq_fast.training.kept import Patience
from seq2seq_fast.training.module import TranslationModule
from seq2seq_fast.training.processes import Processes, claimable, processes_of
from seq2seq_fast.training.settings import check_same_settings, write_settings

_PRECISIONS: dict[str, Any] = {"32": "32-true", "bf16": "bf16-mixed", "64": "64-true"}


@dataclass(frozen=True)
class TrainingResult:
    """What a training has made.

    Attributes:
        folder: the model folder.
        bleu: greedy validation BLEU of the model in it.
        steps, minutes: how long it took.
        is_first_process: whether this is the process that wrote the folder, of those that trained together.
    """

    folder: Path
    bleu: float
    steps: int
    minutes: float
    is_first_process: bool


def train(
    data: DataConfig,
    vocabulary: VocabularyConfig,
    model: dict[str, Any],
    optimization: OptimizationConfig,
    training: TrainingConfig,
    teacher_forcing: TeacherForcingConfig | None = None,
    evaluation: EvaluationConfig | None = None,
    model_folder: str | None = None,
) -> TrainingResult:
    """Train a translator and write it as a model folder, with the weights of the best validation BLEU.

    Args:
        data, vocabulary, optimization, training, teacher_forcing, evaluation: the settings.
        model: fields of `Seq2SeqConfig`, without the vocabularies' sizes.
        model_folder: of a model whose weights and vocabularies the training begins with; its sizes need no settings.

    Raises:
        InputError: a file or a setting cannot be used, or the output folder already holds a model.
    """
    forcing, evaluation = teacher_forcing or TeacherForcingConfig(), evaluation or EvaluationConfig()
    work = Path(training.output) / "training"
    last = work / "checkpoints" / "last.ckpt"
    processes = processes_of(training)
    beginning = None
    if model_folder is not None:
        if training.resume:
            raise InputError("--from begins a new training, --training.resume goes on with one: give one of them")
        beginning = begin_from(model_folder, model, vocabulary)
        model, joint = beginning.settings, beginning.vocabularies[0] is beginning.vocabularies[1]
        vocabulary = replace(vocabulary, joint=joint)
    check_model(model, vocabulary, optimization)
    check_output(work.parent, last, training)
    with told_endings(last) as interruption, claimable(work, processes) as claim:
        return _train(
            data, vocabulary, model, optimization, training, forcing, evaluation, processes, claim, interruption,
            beginning,
        )  # fmt: skip


def _train(
    data: DataConfig,
    vocabulary: VocabularyConfig,
    model: dict[str, Any],
    optimization: OptimizationConfig,
    training: TrainingConfig,
    forcing: TeacherForcingConfig,
    evaluation: EvaluationConfig,
    processes: Processes,
    claim: Callable[[], None],
    interruption: Interruption,
    beginning: Beginning | None,
) -> TrainingResult:
    """See `train`; ``claim`` makes the folder this training's own, ``interruption`` ends it when someone asks."""
    output = Path(training.output)
    work = output / "training"
    last = work / "checkpoints" / "last.ckpt"
    if training.resume:
        check_same_settings(work, vocabulary, model, optimization)
    _quiet_lightning()
    if training.device != "cuda":
        keep_freed_memory()
    pl.seed_everything(training.seed, verbose=False)
    train_pairs, validation_pairs = load_pairs(data)
    references = [pair.target for pair in validation_pairs]
    tokenize = choose_tokenizer(references, evaluation.tokenize)
    alignments = load_alignments(data, optimization, train_pairs)
    if training.resume:
        vocabularies = load_vocabularies(work)
    elif beginning is not None:
        vocabularies = beginning.vocabularies
    else:
        name = data.name("train")
        vocabularies = make_vocabularies(vocabulary, train_pairs, training.seed, training.progress, name=name)
    network = Seq2Seq(model_config(model, vocabularies))
    if beginning is not None:
        network.load_state_dict(beginning.weights)
    if training.resume:
        check_resumable(last, network, training.max_epochs, fingerprint(*vocabularies))
    batches = PairDataModule(
        data, vocabularies, train_pairs, validation_pairs, alignments=alignments, seed=training.seed,
        processes=processes.total, progress=training.progress,
    )  # fmt: skip
    _announce(network, vocabularies, batches)
    patience = Patience(training.patience)
    budget = Budget(training, patience)
    module = TranslationModule(
        network, vocabularies[1], optimization, references, budget.spent, forcing, tokenize, training.seed
    )  # fmt: skip
    module.vocabularies = fingerprint(*vocabularies)
    kept = kept_by(training, last.parent)
    average = [WeightAverage(training.average)] if training.average else []
    final = [kept.final] if kept.final else []
    curves = Curves(output / CURVES)
    watching = _callbacks(training, budget, last, tokenize)
    callbacks = [interruption, *watching, patience, curves, *final, *kept.checkpoints, *average, LastCheckpoint(last)]
    try:
        trainer = _trainer(training, optimization, callbacks, work, batches.batches_per_epoch, processes)
    except MisconfigurationException as error:
        raise InputError(f"training.device {training.device}: {error}") from None
    claim()
    check_output(output, last, training)  # once more: another training may have ended here meanwhile
    if training.overwrite and not training.resume:
        _remove(last.parent)  # only now: nothing that a wrong setting stops may cost an earlier training
    try:
        write_settings(
            work, None if training.resume else vocabularies, data=data, vocabulary=vocabulary, model=model,
            optimization=optimization, training=training, teacher_forcing=forcing, evaluation=evaluation,
        )  # fmt: skip
        with use_tf32(training.tf32):
            trainer.fit(module, batches, ckpt_path=last if training.resume else None, weights_only=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.errno == errno.ENOMEM:
            raise MemoryError(error.strerror) from error
        raise cannot_write(error.filename or work, error) from error
    bleu = _load_best(network, kept)
    # The average that an earlier part of this training wrote stays where this part had no time left for its own.
    written = kept.final is not None and not kept.final.ended and (output / WEIGHTS).exists()
    if trainer.is_global_zero and not written:
        save_model_folder(output, network, *vocabularies)
    minutes = budget.timer.time_elapsed() / 60
    return TrainingResult(output, bleu, trainer.global_step, minutes, trainer.is_global_zero)


@rank_zero_only
def _announce(network: Seq2Seq, vocabularies: tuple[Vocabulary, Vocabulary], batches: PairDataModule) -> None:
    """Say what is about to be trained on what."""
    source, target = (f"{len(vocabulary):,}" for vocabulary in vocabularies)
    entries = f"{source} joint" if vocabularies[0] is vocabularies[1] else f"{source} source and {target} target"
    parameters = sum(parameter.numel() for parameter in network.parameters())
    tell(
        f"{batches.told_pairs()}; {entries} vocabulary entries; {parameters:,} parameters; "
        f"{batches.batches_per_epoch:,} batches an epoch",
        stream=sys.stdout,
    )


@rank_zero_only
def _remove(folder: Path) -> None:
    """Remove the checkpoints of the training before this one."""
    shutil.rmtree(folder, ignore_errors=True)


def _precision(training: TrainingConfig) -> str:
    """Return the precision to train in, where the settings leave it open that of the device."""
    if training.precision != "auto":
        return training.precision
    on_gpu = training.device != "cpu" and torch.cuda.is_available()
    return "bf16" if on_gpu and torch.cuda.is_bf16_supported(including_emulation=False) else "32"


def _quiet_lightning() -> None:
    """Leave out what Lightning says of itself at each start."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    messages = (
        "does not have many workers",
        "Checkpoint directory .* exists",
        "is not empty",
        "LeafSpec.* is deprecated",
        "smaller than the logging interval",
        "dataloader is not resumable",
        "callbacks used to create the checkpoint need to be provided",
    )
    for message in messages:
        warnings.filterwarnings("ignore", f".*{message}.*")


def _callbacks(training: TrainingConfig, budget: Budget, last: Path, tokenize: str) -> list[pl.Callback]:
    # The timer counts also without a limit: the report shows the time.
    watching = [FiniteLoss(last), TokensPerSecond(), ValidationReport(budget.timer, tokenize)]
    callbacks: list[pl.Callback] = [budget.timer, budget, *watching]
    if training.progress:
        # Lightning's bar is on standard output.
        callbacks.append(ProgressBar(refresh_rate=10) if sys.stdout.isatty() else ProgressLines())
    return callbacks


def _trainer(
    training: TrainingConfig,
    optimization: OptimizationConfig,
    callbacks: list[pl.Callback],
    work: Path,
    batches_per_epoch: int,
    processes: Processes,
) -> pl.Trainer:
    within_epoch = training.validate_every <= 1
    # A float: Lightning takes 1 for one batch, 1.0 for an epoch.
    interval = float(training.validate_every) if within_epoch else round(training.validate_every * batches_per_epoch)
    loggers: list[Logger] = []
    if training.logger in ("tensorboard", "both"):
        loggers.append(TensorBoardLogger(work, name="logs"))
    if training.logger in ("csv", "both"):
        loggers.append(CSVLogger(work, name="logs"))
    return pl.Trainer(
        accelerator=training.device,
        devices=processes.devices,
        num_nodes=processes.nodes,
        strategy="ddp" if processes.total > 1 else "auto",
        precision=_PRECISIONS[_precision(training)],
        max_epochs=-1 if training.max_epochs is None else training.max_epochs,
        gradient_clip_val=optimization.gradient_clip or None,
        accumulate_grad_batches=optimization.accumulate,
        val_check_interval=interval,
        check_val_every_n_epoch=1 if within_epoch else None,
        # Each epoch has a shuffle and a number of batches of its own.
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        log_every_n_steps=10,
        logger=loggers,
        callbacks=callbacks,
        enable_model_summary=False,
        enable_progress_bar=any(isinstance(callback, ProgressBar) for callback in callbacks),
        use_distributed_sampler=False,
        plugins=[WholeCheckpoints(), processes.environment],
    )


def _load_best(network: Seq2Seq, kept: Kept) -> float:
    """Give the network the weights of the best validation, or the average that was taken; return its BLEU."""
    if kept.final is not None and kept.final.chosen is not None:
        weights, bleu = kept.final.chosen
        network.load_state_dict(weights)
        return bleu
    if not kept.best.files:
        return 0.0
    network.load_state_dict(read_weights(kept.best.files[0].path))
    return kept.best.files[0].validation.bleu
