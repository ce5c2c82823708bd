"""The curves of a training, kept in its checkpoints and drawn when it ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from seq2seq_fast.visualization.curves import draw_training

# So many points of the training loss are kept at most; then every second is joined with the next.
_MOST_POINTS = 1000


class Curves(pl.Callback):
    """Keep loss and BLEU of each validation and the training loss of equal stretches, the mean over their tokens.

    They are drawn at the end. A resumed training goes on with the points of its checkpoint, so the picture is that of
    the whole training.

    Args:
        path: the picture.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._points: dict[str, list[tuple[int, float]]] = {
            "train_loss": [], "validation_loss": [], "validation_bleu": []
        }  # fmt: skip
        self._losses: list[tuple[Any, Any]] = []
        self._stretch = 10

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        self._losses.append((outputs["summed_loss"], outputs["tokens"]))
        if len(self._losses) < self._stretch:
            return
        points = self._points["train_loss"]
        loss, tokens = (sum(map(float, figures)) for figures in zip(*self._losses, strict=True))
        points.append((trainer.global_step, loss / tokens))
        self._losses = []
        if len(points) >= _MOST_POINTS:
            pairs = zip(points[::2], points[1::2], strict=True)
            self._points["train_loss"] = [(late, (a + b) / 2) for (_, a), (late, b) in pairs]
            self._stretch *= 2

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        for name in ("validation_loss", "validation_bleu"):
            self._points[name].append((trainer.global_step, float(trainer.callback_metrics[name])))

    def on_fit_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if trainer.is_global_zero and self._points["validation_loss"]:
            draw_training(self._points, self._path)

    def state_dict(self) -> dict[str, Any]:
        losses = [(float(loss), float(tokens)) for loss, tokens in self._losses]
        return {"points": self._points, "losses": losses, "stretch": self._stretch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._points = {name: [(int(s), float(v)) for s, v in found] for name, found in state_dict["points"].items()}
        # Version 0.1.0 has means alone.
        losses = [loss if isinstance(loss, tuple) else (loss, 1.0) for loss in state_dict["losses"]]
        self._losses, self._stretch = losses, state_dict["stretch"]
