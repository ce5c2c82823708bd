"""The average of the kept checkpoints, tried at the end of a training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import lightning.pytorch as pl
import torch
from torch import Tensor

from seq2seq_fast.training.callbacks import tell_once
from seq2seq_fast.training.checkpoints import Validation, average_weights, read_weights
from seq2seq_fast.training.config import TrainingConfig
from seq2seq_fast.training.kept import KeptCheckpoints

if TYPE_CHECKING:
    from seq2seq_fast.training.module import TranslationModule


class FinalAverage(pl.Callback):
    """Average the weights of kept checkpoints when training ends, and see how well the average translates.

    Args:
        kept: the checkpoints to average.
        count: how many of them, the best or the last.
        best: the checkpoints that the average competes with.
        always: take the average even where it is not better than the best checkpoint.

    Attributes:
        ended: whether training came to its end here; a resumed one whose time is spent does not even begin.
        chosen: the average's weights and BLEU, where it is taken; otherwise None.
    """

    def __init__(self, kept: KeptCheckpoints, count: int, best: KeptCheckpoints, *, always: bool) -> None:
        self._kept, self._count, self._best, self._always = kept, count, best, always
        self.ended = False
        self.chosen: tuple[dict[str, Tensor], float] | None = None

    def on_train_end(self, trainer: pl.Trainer, module: TranslationModule) -> None:  # type: ignore[override]
        self.ended = True
        paths = [file.path for file in self._kept.files[: self._count]]
        if len(paths) < 2:
            return
        weights = average_weights([(str(path), read_weights(path)) for path in paths])
        trained = {name: value.detach().clone() for name, value in module.model.state_dict().items()}
        module.model.load_state_dict(weights)
        found = self._validate(trainer, module)
        module.model.load_state_dict(trained)
        single = self._best.files[0].validation
        taken = self._always or found.rank() > single.rank()
        if taken:
            self.chosen = weights, found.bleu
        tell_once(
            f"the average of {len(paths)} checkpoints: BLEU {found.bleu:.2f}, the best checkpoint {single.bleu:.2f}; "
            f"the {'average' if taken else 'best'} is taken"
        )

    @staticmethod
    @torch.no_grad()
    def _validate(trainer: pl.Trainer, module: TranslationModule) -> Validation:
        module.eval()
        with trainer.precision_plugin.val_step_context():
            for index, batch in enumerate(trainer.datamodule.val_dataloader()):  # type: ignore[attr-defined]
                module.validation_step(trainer.strategy.batch_to_device(batch), index)
        module.train()
        return module.validation_figures()


class Kept(NamedTuple):
    """What a training keeps at its validations.

    Attributes:
        best: keeps the best checkpoints.
        checkpoints: that and what keeps the last ones.
        final: averages them when training ends; None where that is not asked for.
    """

    best: KeptCheckpoints
    checkpoints: list[KeptCheckpoints]
    final: FinalAverage | None


def kept_by(training: TrainingConfig, folder: Path) -> Kept:
    """Return what keeps the checkpoints that the settings ask for, in a folder."""
    count = training.average_checkpoints
    of_last = count if training.average_of == "last" else 0
    best = KeptCheckpoints(folder, "best", max(training.keep_best, count - of_last), resumed=training.resume)
    last = KeptCheckpoints(folder, "last", max(training.keep_last, of_last), resumed=training.resume)
    final = None
    if count > 0:
        final = FinalAverage(last if of_last else best, count, best, always=training.average_always)
    return Kept(best, [best, last], final)
