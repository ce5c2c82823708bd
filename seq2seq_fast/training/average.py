"""A running average of the weights."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor


class WeightAverage(Checkpoint):
    """Average the weights over the steps, and put the average in the model's place for validation.

    After step t the average moves by ``1 - min(decay, (1 + t) / (10 + t))`` of the way to the weights (Polyak and
    Juditsky 1992, with the exponential window and the warm-up that are in common use): it follows closely at first.

    Lightning runs checkpoint callbacks behind all others and in the order of its list. What stands before this one
    there keeps the average at the end of a validation; what stands behind it keeps the weights that training goes on
    with, and this callback's state.

    Args:
        decay: the share of the average that a step keeps, at most.
    """

    def __init__(self, decay: float) -> None:
        self._decay = decay
        self._step = 0
        self._average: list[Tensor] = []
        self._trained: list[Tensor] | None = None

    def on_fit_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        parameters = list(module.parameters())
        if self._average:
            self._average = [value.to(p) for value, p in zip(self._average, parameters, strict=True)]
        else:
            self._average = [p.detach().clone() for p in parameters]

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        if trainer.global_step == self._step:
            return  # a batch whose gradients are only accumulated
        self._step = trainer.global_step
        share = 1.0 - min(self._decay, (1 + self._step) / (10 + self._step))
        torch._foreach_lerp_(self._average, [p.detach() for p in module.parameters()], share)

    @torch.no_grad()
    def on_validation_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._trained = [p.detach().clone() for p in module.parameters()]
        torch._foreach_copy_([p.detach() for p in module.parameters()], self._average)

    @torch.no_grad()
    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert self._trained is not None
        torch._foreach_copy_([p.detach() for p in module.parameters()], self._trained)
        self._trained = None

    def state_dict(self) -> dict[str, Any]:
        return {"step": self._step, "average": self._average}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._step, self._average = state_dict["step"], state_dict["average"]
