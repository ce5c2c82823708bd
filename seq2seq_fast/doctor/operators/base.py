"""What the doctor knows of an operator: inputs at given sizes, one call, and the error that it may have."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from seq2seq_fast.doctor.comparison import Bound
from seq2seq_fast.ops import AttentionMemory

Outputs = dict[str, Tensor]


@dataclass(frozen=True)
class Draw:
    """Random tensors, drawn in float64 and rounded: the same numbers for every dtype and device."""

    dtype: torch.dtype
    device: torch.device
    generator: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(0))

    def normal(self, *shape: int, scale: float = 1.0) -> Tensor:
        drawn = torch.randn(shape, generator=self.generator, dtype=torch.float64) * scale
        return drawn.to(self.dtype).to(self.device)

    def weight(self, rows: int, columns: int) -> Tensor:
        """[rows, columns], scaled so that a product with it keeps the size of what it multiplies."""
        return self.normal(rows, columns, scale=columns**-0.5)

    def kept(self, *shape: int, probability: float) -> Tensor:
        """Booleans, True with this probability."""
        return (torch.rand(shape, generator=self.generator) < probability).to(self.device)

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        """From ``low`` to ``high``, both included."""
        return torch.randint(low, high + 1, shape, generator=self.generator).to(self.device)


@dataclass(frozen=True)
class Case:
    """Sizes by name, options of the call, and whether lengths and a mask are given."""

    sizes: Mapping[str, int]
    options: Mapping[str, Any] = field(default_factory=dict)
    masked: bool = False

    def __str__(self) -> str:
        words = [f"{name} {size}" for name, size in self.sizes.items()]
        words += [f"{name}={value!r}" for name, value in self.options.items()]
        return ", ".join(words + ["masked"] * self.masked)


@dataclass(frozen=True)
class Inputs:
    """Arguments of a call.

    Attributes:
        tensors: floating point, those that gradients are taken for.
        constants: lengths, masks.
        options: everything that is no tensor.
    """

    tensors: dict[str, Tensor]
    constants: dict[str, Tensor] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def requiring_gradients(self) -> Inputs:
        return replace(self, tensors={name: t.detach().requires_grad_() for name, t in self.tensors.items()})

    def in_float64(self, device: torch.device | str = "cpu") -> Inputs:
        """A copy for the truth."""

        def wide(tensor: Tensor) -> Tensor:
            copied = tensor.detach().to(device)
            return copied.double() if tensor.is_floating_point() else copied

        constants = {name: wide(tensor) for name, tensor in self.constants.items()}
        tensors = {name: wide(t).requires_grad_(t.requires_grad) for name, t in self.tensors.items()}
        return replace(self, tensors=tensors, constants=constants)


class Operator(ABC):
    """One public operator, called the same way on every backend."""

    name: str
    # Whether it attends a source, so that there is padding and an empty row to try.
    attends: bool = True
    # Whether one call loops over positions, so that :meth:`call_in_steps` is there.
    is_loop: bool = False
    # Sizes that a timing names, in the order of the operator's docstring.
    timed_sizes: tuple[str, ...]

    @abstractmethod
    def cases(self, quick: bool) -> Sequence[Case]:
        """Awkward ones: sizes of 1, primes, one past the widths in which kernels work."""

    @abstractmethod
    def inputs(self, case: Case, draw: Draw) -> Inputs: ...

    def prepare(self, inputs: Inputs) -> AttentionMemory | None:
        """What a caller makes once for many calls."""
        return None

    @abstractmethod
    def call(self, inputs: Inputs, memory: AttentionMemory | None, backend: str) -> Outputs:
        """Outputs by name."""

    def call_in_steps(self, inputs: Inputs, step: Any) -> Outputs:
        """The same as a Python loop over ``step``, of the signature of ``seq2seq_fast.attention_decoder_step``."""
        raise NotImplementedError

    @abstractmethod
    def bounds(self, inputs: Inputs, large: bool = False) -> tuple[Bound, Bound]:
        """The error allowed to outputs and to gradients; ``large`` where arguments leave the exponentials' range."""

    @abstractmethod
    def degenerate(self) -> Case:
        """The case that the three changes below are made to."""

    def graphed(self) -> Sequence[Case]:
        """The cases that a CUDA graph is tried with: every way in which a backend may run the operator."""
        return [self.degenerate()]

    def fill_padding(self, inputs: Inputs) -> None:
        """Put NaN and infinities where nothing is attended, and leave one row with nothing to attend."""
        raise NotImplementedError

    @abstractmethod
    def enlarge(self, inputs: Inputs) -> bool:
        """Make the arguments large, in place; False where the dtype cannot carry them."""

    @abstractmethod
    def spoil(self, inputs: Inputs) -> None:
        """Put NaN and infinities into some rows, in place."""
