"""What a workload is: an operator at one size, under a name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from seq2seq_fast.cases import Case, Operator

PASSES = ("forward", "backward", "both")


@dataclass(frozen=True)
class Items:
    """What a rate counts: their name, and how many of them one call serves."""

    name: str
    count: Callable[[Mapping[str, int]], int]


@dataclass(frozen=True)
class Workload:
    """One operator at one size.

    Attributes:
        name: operator and sizes, ``attend/80x50x1024x2048``, or the operator and whose sizes, ``attend/gnmt``.
        kept: its figures are kept: it runs unless others are named.
        quick: part of ``--quick``.
        items: what one call serves, where a rate is worth printing.
    """

    name: str
    operator: Operator
    case: Case
    kept: bool = True
    quick: bool = False
    items: Items | None = None

    @property
    def passes(self) -> tuple[str, ...]:
        return PASSES if self.operator.differentiable else PASSES[:1]

    def scaled(self, divisor: int) -> Workload:
        """The same workload with every size divided, to try the runner without waiting."""
        return replace(self, case=self.case.divided(divisor))
