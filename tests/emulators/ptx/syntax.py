"""The parts of a parsed PTX module: operands, instructions, kernels."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

TYPE_BITS = {
    "pred": 1,
    **{f"{kind}{bits}": bits for kind in "bsu" for bits in (8, 16, 32, 64)},
    "b128": 128,
    "f16": 16,
    "bf16": 16,
    "f16x2": 32,
    "bf16x2": 32,
    "f32x2": 64,
    "tf32": 32,
    "f32": 32,
    "f64": 64,
}


@dataclass(frozen=True)
class Register:
    """A virtual register. Names are unique in a kernel: those of an inner scope carry its number."""

    name: str
    type: str


@dataclass(frozen=True)
class Immediate:
    """A number in the text. `bits` is set for integers and for floats given by their bits, else `real`."""

    bits: int | None = None
    real: float | None = None


@dataclass(frozen=True)
class Special:
    """A predefined register such as `%tid.x`."""

    name: str


@dataclass(frozen=True)
class Symbol:
    """A label, a variable or a parameter, plus a number of bytes."""

    name: str
    offset: int = 0


@dataclass(frozen=True)
class Address:
    """`[base + offset]`."""

    base: Register | Symbol | Immediate
    offset: int = 0


@dataclass(frozen=True)
class Vector:
    """`{a, b, ...}`."""

    items: tuple[Operand, ...]


@dataclass(frozen=True)
class Pair:
    """`a|b`: two results."""

    first: Operand
    second: Operand


@dataclass(frozen=True)
class Negated:
    """`!p`."""

    register: Register


@dataclass(frozen=True)
class Sink:
    """`_`: a result that nobody reads."""


Operand = Register | Immediate | Special | Symbol | Address | Vector | Pair | Negated | Sink


@dataclass(frozen=True)
class Instruction:
    """One statement. `line` and `text` locate it in the source."""

    opcode: str
    operands: tuple[Operand, ...]
    predicate: Register | None
    negated: bool
    line: int
    text: str

    @cached_property
    def parts(self) -> tuple[str, ...]:
        return tuple(self.opcode.split("."))

    @cached_property
    def kind(self) -> str:
        return self.parts[0]

    @cached_property
    def types(self) -> tuple[str, ...]:
        """The types among the modifiers, in order: destination first where there are two."""
        return tuple(part for part in self.parts[1:] if part in TYPE_BITS)

    @property
    def type(self) -> str:
        """The last type among the modifiers."""
        if not self.types:
            raise ValueError(f"{self.where}: no type in {self.opcode}")
        return self.types[-1]

    def has(self, *modifiers: str) -> bool:
        """Whether any of the modifiers is present."""
        return any(modifier in self.parts for modifier in modifiers)

    def one_of(self, *modifiers: str) -> str | None:
        """The first of the given modifiers that is present."""
        return next((modifier for modifier in modifiers if modifier in self.parts), None)

    @property
    def where(self) -> str:
        return f"PTX line {self.line}: {self.text}"


@dataclass(frozen=True)
class Parameter:
    """A kernel parameter at its place in the parameter space. `size` counts bytes; arrays of `b8` are structs."""

    name: str
    type: str
    offset: int
    size: int
    is_array: bool


@dataclass(frozen=True)
class Variable:
    """A variable of the module or of a kernel. `data` is the initial value of module variables."""

    name: str
    space: str
    align: int
    size: int
    data: bytes = b""
    is_extern: bool = False


@dataclass
class Kernel:
    """An `.entry`: instructions in order and the labels' positions among them."""

    name: str
    parameters: list[Parameter]
    instructions: list[Instruction] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)
    variables: list[Variable] = field(default_factory=list)
    branch_targets: dict[str, tuple[str, ...]] = field(default_factory=dict)
