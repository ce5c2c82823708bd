"""What watches a training: its speed, its loss and its budget."""

from __future__ import annotations

import math
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Checkpoint, Timer, TQDMProgressBar
from lightning.pytorch.utilities import rank_zero_only

from seq2seq_fast.data import Batch, InputError
from seq2seq_fast.progress import tell
from seq2seq_fast.training.config import TrainingConfig
from seq2seq_fast.training.kept import Patience

# Of the processes that train together the first speaks.
tell_once = rank_zero_only(tell)


class TokensPerSecond(pl.Callback):
    """Show and log how many target tokens a second all processes train together, validation not counted.

    The time of a batch lasts from the end of the one before it, so that waiting for data counts.

    Args:
        window: batches over which it is averaged. Their tokens are added up where they are and read together, since
            reading waits for the device; the first few are read sooner.
    """

    def __init__(self, window: int = 20) -> None:
        self._window, self._wanted = window, 1
        self._tokens: Any = 0
        self._batches, self._seconds, self._speed = 0, 0.0, 0.0
        self._since: float | None = None

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        # A training that goes on within an epoch does not start that one.
        self._since = time.perf_counter()

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._since = time.perf_counter()

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Batch, index: int
    ) -> None:
        self._batches, self._tokens = self._batches + 1, self._tokens + outputs["tokens"]
        if self._batches == self._wanted:
            self._pause()
            self._speed = self._tokens / self._seconds
            self._wanted = min(2 * self._wanted, self._window)
            self._batches, self._tokens, self._seconds = 0, 0, 0.0
            self._since = time.perf_counter()
        module.log("tokens_per_second", self._speed, prog_bar=True, batch_size=1)

    def on_validation_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._pause()

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._since = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._pause()

    def _pause(self) -> None:
        """Add the time since the last pause, once the device has done what it was given in it."""
        self._tokens = int(self._tokens)
        if self._since is not None:
            self._seconds += time.perf_counter() - self._since
        self._since = None


class FiniteLoss(pl.Callback):
    """End a training whose loss is no longer a number, before it writes anything of it.

    Args:
        last: the checkpoint of the last validation.
        every: batches between two looks at the loss, each of which waits for the device.
    """

    def __init__(self, last: Path, every: int = 20) -> None:
        self._last, self._every = last, every

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Batch, index: int
    ) -> None:
        if (index + 1) % self._every == 0:
            self._check(trainer, "train_loss")

    def on_validation_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._check(trainer, "train_loss")

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._check(trainer, "validation_loss")

    def _check(self, trainer: pl.Trainer, name: str) -> None:
        # A training that is resumed at its end has none yet.
        if math.isfinite(float(trainer.callback_metrics.get(name, 0.0))):
            return
        goes_on = f"; --training.resume=true then goes on from {self._last}" if self._last.exists() else ""
        raise InputError(
            f"the loss is no longer a number at step {trainer.global_step:,}: lower optimization.learning_rate{goes_on}"
        )


class ProgressBar(TQDMProgressBar):
    """Lightning's bar, with the speed in whole tokens."""

    def get_metrics(self, trainer: pl.Trainer, module: pl.LightningModule) -> dict[str, Any]:
        metrics = super().get_metrics(trainer, module)
        metrics.pop("v_num", None)
        speed = metrics.pop("tokens_per_second", None)
        return metrics if speed is None else {**metrics, "tokens/s": f"{speed:,.0f}"}


class ProgressLines(pl.Callback):
    """A line now and then, where there is no terminal for a bar.

    Args:
        every: seconds between two lines.
    """

    def __init__(self, every: float = 60.0) -> None:
        self._every = every
        self._told = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Batch, index: int
    ) -> None:
        now = time.monotonic()
        if now - self._told < self._every:
            return
        self._told = now
        shown = trainer.progress_bar_metrics
        loss, speed = shown.get("train_loss", float("nan")), shown.get("tokens_per_second", 0.0)
        tell_once(
            f"epoch {trainer.current_epoch + 1}, batch {index + 1:,} of {trainer.num_training_batches:,}: "
            f"train loss {loss:.3f}, {speed:,.0f} tokens/s"
        )


class Budget(pl.Callback):
    """The limits of a training, the spent share of them, and the stop at the end.

    Args:
        config: the limits.
        patience: a limit too.

    Attributes:
        timer: stops the training when its time is over; a callback of its own.
    """

    def __init__(self, config: TrainingConfig, patience: Patience) -> None:
        self._config, self._patience = config, patience
        self._seconds = None if config.max_minutes is None else 60.0 * config.max_minutes
        duration = None if self._seconds is None else timedelta(seconds=self._seconds)
        self.timer = Timer(duration, interval="step", verbose=False)
        self._trainer: pl.Trainer | None = None

    def setup(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        self._trainer = trainer

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if not trainer.datamodule.goes_on_within(trainer.fit_loop.epoch_loop.batch_progress):  # type: ignore[attr-defined]
            tell_once(f"the training pairs or their batches are others: epoch {trainer.current_epoch + 1} begins anew")
        # A training that had ended is resumed: there is nothing left to do.
        steps = self._config.max_steps
        if self._patience.spent or (steps is not None and trainer.global_step >= steps):
            trainer.should_stop = True

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Batch, index: int) -> None:
        if trainer.optimizers[0].param_groups[0]["lr"] <= 0:
            raise InputError(
                f"the learning rate is 0 at step {trainer.global_step:,} though the budget is not spent, so nothing "
                "would be learnt: choose another optimization.schedule or learning_rate"
            )

    def spent(self, step: int) -> float:
        """Return the largest spent share of time, steps and epochs at a step.

        Epochs are counted as they are trained, whatever the batches of those before: a training may go on with other
        data.
        """
        shares = [0.0]
        if self._seconds is not None:
            shares.append(self._elapsed() / self._seconds)
        if self._config.max_steps is not None:
            shares.append(step / self._config.max_steps)
        if self._config.max_epochs is not None:
            shares.append(self._epochs() / self._config.max_epochs)
        return max(shares)

    def _epochs(self) -> float:
        if self._trainer is None:
            return 0.0
        done = self._trainer.fit_loop.epoch_loop.batch_progress.current.ready
        return self._trainer.current_epoch + min(1.0, done / self._trainer.num_training_batches)

    def _elapsed(self) -> float:
        # The first process's clock counts, so that all have the same learning rate.
        elapsed = self.timer.time_elapsed()
        return elapsed if self._trainer is None else self._trainer.strategy.broadcast(elapsed)

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Batch, index: int
    ) -> None:
        # Not by the trainer's own limits: a training that is told to stop is validated once more at its last step.
        steps, epochs = self._config.max_steps, self._config.max_epochs
        last_step = steps is not None and trainer.global_step >= steps
        last_epoch = epochs is not None and trainer.is_last_batch and trainer.current_epoch + 1 >= epochs
        if last_step or last_epoch:
            trainer.should_stop = True


class LastCheckpoint(Checkpoint):
    """Keep, at each validation, all that a training needs to go on from there.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        trainer.save_checkpoint(self._path)


class ValidationReport(pl.Callback):
    """Print a line at each validation, and one more where the score sees nothing.

    Args:
        timer: counts the training's time.
        tokenize: the tokenizer of the score.
    """

    def __init__(self, timer: Timer, tokenize: str) -> None:
        self._timer, self._tokenize = timer, tokenize
        self._zeros = 0

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        tell_once(
            f"epoch {trainer.current_epoch + 1}, step {trainer.global_step:,}, "
            f"{self._timer.time_elapsed() / 60:.1f} minutes: train loss {metrics.get('train_loss', float('nan')):.3f}, "
            f"validation loss {metrics['validation_loss']:.3f}, BLEU {metrics['validation_bleu']:.2f}"
        )
        self._zeros = 0 if metrics["validation_bleu"] > 0 else self._zeros + 1
        if self._zeros == 2:
            tell_once(
                f"seq2seq-fast: warning: BLEU was 0 in two validations (tokenizer {self._tokenize}): while it is, the "
                "validation loss chooses what is kept; where the translations are not that bad, give "
                "--evaluation.tokenize char"
            )
