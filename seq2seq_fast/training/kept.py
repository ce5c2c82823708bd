"""Which checkpoints a training keeps, and when its patience ends."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Checkpoint

from seq2seq_fast.training.checkpoints import KeptFile, Validation, Which, kept_files, order_of

if TYPE_CHECKING:
    from seq2seq_fast.training.module import TranslationModule


class KeptCheckpoints(Checkpoint):
    """Keeps, at each validation, the weights of the best validations or of the last.

    Which they are is in the files, so a training that goes on needs no more than their folder, and a smaller count
    takes effect at once.

    Args:
        folder: of the files.
        which: the best, or the last.
        count: how many.
        resumed: whether a training goes on that has kept some already.

    Attributes:
        files: those that are there, the best or the last first.
    """

    def __init__(self, folder: Path, which: Which, count: int, *, resumed: bool) -> None:
        self._folder, self._which, self._count, self._resumed = folder, which, count, resumed
        self.files: list[KeptFile] = []

    @property
    def state_key(self) -> str:
        return f"KeptCheckpoints of the {self._which}"

    def on_fit_start(self, trainer: pl.Trainer, module: TranslationModule) -> None:  # type: ignore[override]
        if self._resumed:
            found = kept_files(self._folder, self._which, module.scored) if trainer.is_global_zero else []
            self.files = trainer.strategy.broadcast(found)
            self._let_go(trainer)

    def on_validation_end(self, trainer: pl.Trainer, module: TranslationModule) -> None:  # type: ignore[override]
        validation = module.validation
        assert validation is not None
        step = trainer.global_step
        name = f"recent-step{step}.ckpt" if self._which == "last" else f"step{step}-bleu{validation.bleu:.2f}.ckpt"
        file = KeptFile(self._folder / name, step, validation)
        others = [other for other in self.files if other.path != file.path]
        self.files = sorted([*others, file], key=order_of(self._which, module.scored), reverse=True)
        if file in self.files[: self._count]:
            trainer.save_checkpoint(file.path, weights_only=True)
        self._let_go(trainer)

    def _let_go(self, trainer: pl.Trainer) -> None:
        """Delete what is beyond the count."""
        for file in self.files[self._count :]:
            if trainer.is_global_zero:
                file.path.unlink(missing_ok=True)
        self.files = self.files[: self._count]


class Patience(pl.Callback):
    """Stops a training after some validations without a better one.

    A score that has never been above zero does not see what is learnt, and stops nothing.

    Args:
        most: so many; 0 never stops.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._best, self._waited = Validation(0.0), 0

    @property
    def spent(self) -> bool:
        """Whether it has ended."""
        return 0 < self._most <= self._waited

    def on_validation_end(self, trainer: pl.Trainer, module: TranslationModule) -> None:  # type: ignore[override]
        found = module.validation
        assert found is not None
        if found.scored != self._best.scored or found.rank() > self._best.rank():
            self._best, self._waited = found, 0
        elif self._best.bleu > 0:
            self._waited += 1
        if self.spent:
            trainer.should_stop = True

    def on_load_checkpoint(self, trainer: pl.Trainer, module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        # Version 0.1.0 left this to Lightning's EarlyStopping.
        for key, state in checkpoint.get("callbacks", {}).items():
            if key.startswith("EarlyStopping"):
                self._waited = state["wait_count"]
                self._best = Validation(float(state["best_score"]), scored=module.scored)  # type: ignore[arg-type]

    def state_dict(self) -> dict[str, Any]:
        return {"best": self._best._asdict(), "waited": self._waited}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._best, self._waited = Validation(**state_dict["best"]), state_dict["waited"]
