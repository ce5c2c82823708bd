"""Learning rate schedules over a budget of time, steps or epochs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal


class Schedule:
    """The factor on the learning rate at a step.

    - ``cosine``: ``(1 + cos(pi p)) / 2`` where p is the spent share of the budget (Loshchilov and Hutter 2017).
    - ``inverse_sqrt``: ``sqrt(warm-up / step)`` after the warm-up (Vaswani et al. 2017).
    - ``constant``: 1.

    Each is multiplied by ``step / warm-up`` during the warm-up.

    Args:
        kind: one of the three.
        warmup_steps: length of the warm-up.
        spent: returns the spent share of the budget, from 0 to 1; called at each step, since it may be a share of time.
    """

    def __init__(
        self, kind: Literal["cosine", "inverse_sqrt", "constant"], warmup_steps: int, spent: Callable[[int], float]
    ) -> None:
        if kind not in ("cosine", "inverse_sqrt", "constant"):
            raise ValueError(f"schedule must be cosine, inverse_sqrt or constant; got {kind!r}")
        self._kind = kind
        self._warmup_steps = max(1, warmup_steps)
        self._spent = spent

    def __call__(self, step: int) -> float:
        """Return the factor for the step with this number, from 0."""
        factor = min(1.0, (step + 1) / self._warmup_steps)
        if self._kind == "cosine":
            share = min(1.0, max(0.0, self._spent(step)))
            factor *= (1.0 + math.cos(math.pi * share)) / 2.0
        elif self._kind == "inverse_sqrt":
            factor *= math.sqrt(self._warmup_steps / max(self._warmup_steps, step + 1))
        return factor
