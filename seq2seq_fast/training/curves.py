"""The curves of a training, kept in its checkpoints and drawn when it ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from seq2seq_fast.visualization.curves import draw_training

# So many points of the training loss are kept at most; then every second is joined with the next.
_MOST_POINTS = 1000


class Curves(pl.Callback):
    """Keep loss and BLEU of each validation and the mean training loss of equal stretches; draw them at the end.

    A resumed training goes on with the points of its checkpoint, so the picture is that of the whole training.

    Args:
        path: the picture.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._points: dict[str, list[tuple[int, float]]] = {
            "train_loss": [], "validation_loss": [], "validation_bleu": []
        }  # fmt: skip
        self._losses: list[float] = []
        self._stretch = 10

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        self._losses.append(trainer.callback_metrics["train_loss"])
        if len(self._losses) < self._stretch:
            return
        points = self._points["train_loss"]
        points.append((trainer.global_step, sum(map(float, self._losses)) / len(self._losses)))
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
        losses = [float(loss) for loss in self._losses]
        return {"points": self._points, "losses": losses, "stretch": self._stretch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._points = {name: [(int(s), float(v)) for s, v in found] for name, found in state_dict["points"].items()}
        self._losses, self._stretch = list(state_dict["losses"]), state_dict["stretch"]
