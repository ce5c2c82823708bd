"""What a workload is: inputs, how each contender runs on them, and the limit that it declares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

Sizes = Mapping[str, int]
Inputs = dict[str, Any]
Outputs = tuple[Tensor | None, ...]

PASSES = ("forward", "backward", "both")
BASELINES = ("eager", "compile", "cudagraph")


@dataclass(frozen=True)
class Draw:
    """Random tensors of one dtype on one device, the same numbers whatever the dtype and device."""

    dtype: torch.dtype
    device: torch.device
    generator: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(0))

    def normal(self, *shape: int, scale: float = 1.0) -> Tensor:
        return (torch.randn(shape, generator=self.generator) * scale).to(self.device, self.dtype)

    def weight(self, rows: int, columns: int) -> Tensor:
        """[rows, columns], scaled so that a product with it keeps the size of what it multiplies."""
        return self.normal(rows, columns, scale=columns**-0.5)

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        """From ``low`` to ``high``, both included."""
        return torch.randint(low, high + 1, shape, generator=self.generator).to(self.device)


@dataclass(frozen=True)
class Bound:
    """The error allowed against float64 truth.

    ``eps (absolute + relative max|truth|) + eps_out roundings max|truth|``, with eps of the dtype that the operators
    add in and eps_out of the dtype that they return. Gradients get ``gradient`` times as much, and one whose largest
    entry is below ``floor`` times that of all gradients is measured against that instead.
    """

    absolute: float = 0.0
    relative: float = 32.0
    roundings: float = 2.0
    gradient: float = 4.0
    floor: float = 0.0


@dataclass(frozen=True)
class LimitRun:
    """The work that nothing can avoid, as functions to time beside the contenders.

    ``forward`` is for inference, ``training_forward`` also keeps what ``backward`` reads.
    """

    kind: str
    forward: Callable[[], object]
    training_forward: Callable[[], object]
    backward: Callable[[], object]


@dataclass(frozen=True)
class Items:
    """What a rate counts: their name, and how many of them one call serves."""

    name: str
    count: Callable[[Sizes], int]


def _as_it_is(inputs: Inputs) -> Inputs:
    return inputs


@dataclass(frozen=True)
class Workload:
    """One operator at one shape.

    Attributes:
        name: operator and sizes, ``attend/80x50x1024``.
        operator: the public name that is measured.
        sizes: what ``make_inputs`` and ``limit`` are given.
        make_inputs: named tensors (and whatever else the calls want).
        run: our operator on the inputs, on the named backend ("reference" included).
        eager: what one writes in PyTorch without this package, on the same inputs.
        limit: the unavoidable work, see :class:`LimitRun`.
        wanted: the inputs that get gradients; none means that only the forward pass is timed.
        prepare: what a user makes once and passes to every call (an attention memory); not timed.
        compiled: makes the function timed as torch.compile; None compiles ``eager`` whole.
        replayed: makes of ``run`` or ``eager`` one that replays CUDA graphs of its parts; None captures a call whole.
        baselines: those that make sense for it.
        after_backward: what a training step does with the gradients; timed as part of the backward pass.
        bound: error allowed, from the inputs.
        quick: part of ``--quick``.
        cold: rotate inputs through more memory than the last level of cache holds.
        items: what one call serves, where a rate is worth printing.
    """

    name: str
    operator: str
    sizes: Sizes
    make_inputs: Callable[[Sizes, Draw], Inputs]
    run: Callable[[Inputs, str], Outputs]
    eager: Callable[[Inputs], Outputs]
    limit: Callable[[Sizes, Draw], LimitRun]
    wanted: tuple[str, ...] = ()
    prepare: Callable[[Inputs], Inputs] = _as_it_is
    compiled: Callable[[], Callable[[Inputs], Outputs]] | None = None
    replayed: Callable[[Callable[[Inputs], Outputs]], Callable[[Inputs], Outputs]] | None = None
    baselines: tuple[str, ...] = BASELINES
    after_backward: Callable[[Inputs, tuple[Tensor, ...]], None] | None = None
    bound: Callable[[Inputs], Bound] = lambda inputs: Bound()
    quick: bool = False
    cold: bool = True
    items: Items | None = None

    @property
    def passes(self) -> tuple[str, ...]:
        return PASSES if self.wanted else PASSES[:1]

    def scaled(self, divisor: int) -> Workload:
        """The same workload with every size divided, to try the runner without waiting."""
        return replace(self, sizes={name: max(2, size // divisor) for name, size in self.sizes.items()})

    def inputs(self, draw: Draw) -> Inputs:
        """A set of inputs, prepared, with gradients asked for."""
        return self.prepared(self.make_inputs(self.sizes, draw))

    def prepared(self, made: Inputs) -> Inputs:
        for name in self.wanted:
            made[name].requires_grad_()
        return self.prepare(made)

    def leaves(self, inputs: Inputs) -> list[Tensor]:
        """The tensors that gradients are taken for."""
        found: list[Tensor] = []
        for name in self.wanted:
            value = inputs[name]
            found += [value] if isinstance(value, Tensor) else list(value.parameters())
        return found
