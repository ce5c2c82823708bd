"""What is said of an operator, once: inputs, call, eager's way, error allowed, least work."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from seq2seq_fast.cases.comparison import Bound
from seq2seq_fast.cases.sizes import PLACES
from seq2seq_fast.ops import AttentionMemory

Outputs = dict[str, Tensor]
Options = Mapping[str, Any]


@dataclass(frozen=True)
class Draw:
    """Random tensors, drawn in float64 from a generator of their own: the same numbers for every dtype and device."""

    dtype: torch.dtype
    device: torch.device
    generator: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(0))

    def normal(self, *shape: int, scale: float = 1.0) -> Tensor:
        drawn = torch.randn(shape, generator=self.generator, dtype=torch.float64) * scale
        return drawn.to(self.dtype).to(self.device)

    def weight(self, rows: int, columns: int) -> Tensor:
        """[rows, columns], scaled so that a product with it keeps the size of what it multiplies."""
        return self.normal(rows, columns, scale=max(columns, 1) ** -0.5)

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
    options: Options = field(default_factory=dict)
    masked: bool = False

    def __str__(self) -> str:
        words = [f"{name} {size}" for name, size in self.sizes.items()]
        words += [f"{name}={value!r}" for name, value in self.options.items()]
        return ", ".join(words + ["masked"] * self.masked)

    def divided(self, divisor: int) -> Case:
        """The same with every size divided."""
        return replace(self, sizes={name: max(2, size // divisor) for name, size in self.sizes.items()})


@dataclass(frozen=True)
class Inputs:
    """Arguments of a call.

    Attributes:
        tensors: floating point, those that gradients are taken for.
        constants: lengths, masks.
        options: everything that is no tensor.
        modules: layers whose parameters gradients are taken for too.
    """

    tensors: dict[str, Tensor]
    constants: dict[str, Tensor] = field(default_factory=dict)
    options: Options = field(default_factory=dict)
    modules: Mapping[str, nn.Module] = field(default_factory=dict)

    @property
    def leaves(self) -> dict[str, Tensor]:
        """What gradients are taken for, by name."""
        parameters = (parameter for module in self.modules.values() for parameter in module.named_parameters())
        return {**self.tensors, **dict(parameters)}

    def requiring_gradients(self) -> Inputs:
        return replace(self, tensors={name: t.detach().requires_grad_() for name, t in self.tensors.items()})

    def to(self, dtype: torch.dtype, device: torch.device | str = "cpu") -> Inputs:
        """A copy for the truth, floating point in this dtype."""

        def copied(tensor: Tensor) -> Tensor:
            return tensor.detach().to(device, dtype if tensor.is_floating_point() else tensor.dtype)

        tensors = {name: copied(t).requires_grad_(t.requires_grad) for name, t in self.tensors.items()}
        constants = {name: copied(tensor) for name, tensor in self.constants.items()}
        modules = {name: copy.deepcopy(module).to(device, dtype) for name, module in self.modules.items()}
        return Inputs(tensors, constants, self.options, modules)


class Product(NamedTuple):
    """[rows, terms] times [terms, columns]; ``layout`` says which of the two is stored transposed ("nt": a layer's)."""

    rows: int
    terms: int
    columns: int
    layout: str = "nn"


@dataclass(frozen=True)
class Work:
    """What no implementation of a pass can avoid.

    Attributes:
        read, written: elements that must come from memory and go there, each once.
        operations: floating point, those of matrix products left out; a multiply-add is two.
        products: matrix products, in order.
    """

    read: int = 0
    written: int = 0
    operations: int = 0
    products: tuple[Product, ...] = ()


def linear(rows: int, inputs: int, outputs: int) -> Product:
    """A linear layer's product, with the weight [outputs, inputs] as a layer stores it."""
    return Product(rows, inputs, outputs, "nt")


def linear_backward(rows: int, inputs: int, outputs: int) -> tuple[Product, Product]:
    """The two products of a linear layer's backward: gradients of its input and of its weight."""
    return Product(rows, outputs, inputs), Product(outputs, rows, inputs, "tn")


class Operator(ABC):
    """One operator, called the same way on every backend.

    Attributes:
        name: the public one.
        size_names: those of its sizes, in the order of its docstring.
        forms: options of every form that it has, the usual one first.
        attends: whether it attends a source, so that there is padding and an empty row to try.
        differentiable: whether gradients are taken.
        optional: tensors and constants that a caller may leave out.
        limited_by: the part of its work that bounds its speed: "bytes", "operations" or "products".
        baselines: those that make sense beside it, of "eager", "compile" and "cudagraph".
        cold: its inputs come from memory: more of them are rotated than the last level of cache holds.
    """

    name: str
    size_names: tuple[str, ...]
    forms: tuple[Options, ...] = ({},)
    attends: bool = True
    differentiable: bool = True
    optional: tuple[str, ...] = ()
    limited_by: str = "bytes"
    baselines: tuple[str, ...] = ("eager", "compile", "cudagraph")
    cold: bool = True

    def __str__(self) -> str:
        return self.name

    def at(self, place: str) -> Case:
        """The case of a place in :data:`PLACES`: its sizes, in the form with its cell where there is a choice."""
        cell, sizes = PLACES[place]
        form = next((form for form in self.forms if form.get("cell") == cell), self.forms[0])
        return Case({name: sizes[name] for name in self.size_names}, form)

    def case(self, shape: Sequence[int], form: Options | None = None, masked: bool = False) -> Case:
        """Sizes in the order of ``size_names``."""
        return Case(dict(zip(self.size_names, shape, strict=True)), self.forms[0] if form is None else form, masked)

    @abstractmethod
    def cases(self, quick: bool) -> Sequence[Case]:
        """Awkward ones: sizes of 1, primes, one past the widths in which kernels work; ``quick``: only small ones."""

    @abstractmethod
    def degenerate(self) -> Case:
        """The case that the three changes below are made to."""

    def graphed(self) -> Sequence[Case]:
        """The cases that a CUDA graph is tried with: every way in which a backend may run the operator."""
        return [self.degenerate()]

    @abstractmethod
    def inputs(self, case: Case, draw: Draw) -> Inputs: ...

    def prepare(self, inputs: Inputs) -> AttentionMemory | None:
        """What a caller makes once for many calls."""
        return None

    @abstractmethod
    def call(self, inputs: Inputs, memory: AttentionMemory | None, backend: str) -> Outputs:
        """Outputs by name."""

    @abstractmethod
    def eager(self, inputs: Inputs) -> Outputs:
        """The same outputs as one writes them in PyTorch without this package, in the dtype of the inputs."""

    def compiled(self) -> Any:
        """``eager``, compiled as one would by hand."""
        return torch.compile(self.eager, dynamic=False)

    def replayed(self, run: Any) -> Any:
        """A run that replays CUDA graphs of its parts; None where a call can be captured whole."""
        return None

    def after_backward(self, inputs: Inputs, gradients: Mapping[str, Tensor]) -> None:  # noqa: B027
        """What a training step does with the gradients; timed as part of the backward pass."""

    @abstractmethod
    def bounds(self, inputs: Inputs, large: bool = False) -> tuple[Bound, Bound]:
        """The error allowed to outputs and to gradients; ``large`` where arguments leave the exponentials' range."""

    def forward_work(self, sizes: Mapping[str, int], inputs: Inputs, outputs: Outputs, training: bool) -> Work:
        """Every input is read and every output written."""
        return Work(count(inputs.leaves), count(outputs))

    def backward_work(self, sizes: Mapping[str, int], inputs: Inputs, outputs: Outputs) -> Work:
        """Inputs, outputs and the outputs' gradients are read, the inputs' gradients written."""
        return Work(count(inputs.leaves) + 2 * count(outputs), count(inputs.leaves))

    def fill_padding(self, inputs: Inputs) -> None:
        """Put NaN and infinities where nothing is attended, and leave one row with nothing to attend."""
        raise NotImplementedError

    def enlarge(self, inputs: Inputs) -> bool:
        """Make the arguments large, in place; False where the dtype cannot carry them."""
        return False

    def spoil(self, inputs: Inputs) -> None:
        """Put NaN and infinities into some rows, in place."""
        raise NotImplementedError


def count(tensors: Mapping[str, Tensor]) -> int:
    return sum(tensor.numel() for tensor in tensors.values())
