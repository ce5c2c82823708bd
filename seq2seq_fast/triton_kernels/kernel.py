"""A Triton kernel with what its host functions need: few compiled variants, wide loads at every size that allows them.

Triton compiles a kernel again for each integer that is 1 or a multiple of 16, and for each pointer that is aligned.
Sizes of batches would so choose among hundreds of variants, and rows of 1,000 numbers, 16-byte aligned but no multiple
of 16, would be read number by number. Here one property of a launch is compiled in instead: ``WIDE``, whether rows lie
a multiple of 8 numbers apart and start at 16-byte boundaries.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeAlias

import triton
import triton.language as tl
from torch import Tensor
from torch._library.triton import is_wrap_triton_enabled
from torch.library import wrap_triton

from seq2seq_fast.triton_kernels import launch, prepared

# What rows of wide loads start at multiples of.
ALIGNMENT = 16


@triton.jit
def in_eights(size, WIDE: tl.constexpr):
    """A size or a distance of rows; where it is ``WIDE``, the compiler is shown that it is a multiple of 8."""
    if WIDE:
        size = size // 8 * 8
    return size


@triton.jit
def at_row(row, stride, WIDE: tl.constexpr):
    """Where a row starts, of rows ``stride`` apart."""
    return row * in_eights(stride, WIDE)


class Each:
    """An argument of launches that are made one a position: [positions, ...], of which launch ``i`` takes entry ``i``.

    It has the shape and the strides of an entry.
    """

    def __init__(self, entries: Tensor) -> None:
        self.entries = entries
        self.shape = entries.shape[1:]
        self.dtype = entries.dtype

    def stride(self, dim: int) -> int:
        return self.entries.stride(dim % (self.entries.dim() - 1) + 1)

    def apart(self) -> int:
        """Bytes from an entry to the next."""
        return self.entries.stride(0) * self.entries.element_size()


Laid: TypeAlias = Tensor | Each
Argument: TypeAlias = Tensor | Each | int | None


def at(argument: Any, i: int) -> Any:
    """What launch ``i`` takes of an argument."""
    return argument.entries[i] if isinstance(argument, Each) else argument


class Launch:
    """Launches of one kernel that differ in a position alone: call it with the position."""

    def __init__(self, kernel: Kernel, programs: int, arguments: tuple, constants: dict[str, Any]) -> None:
        self._kernel, self._programs, self._arguments, self._constants = kernel, programs, arguments, constants
        tensors = [t.entries if isinstance(t, Each) else t for t in (arguments[i] for i in kernel.pointers)]
        self._direct: Callable[..., Any] | None = None
        self._traced = is_wrap_triton_enabled()
        self.wide = kernel.in_wide_rows(arguments, self._traced)
        self._key: tuple | None = None
        if self._traced or not prepared.possible() or max(arguments[i] for i in kernel.integers) >= 1 << 31:
            return
        device, stream = prepared.device_and_stream()
        dtypes = [None if t is None else t.dtype for t in tensors]
        self._key = (device, self.wide, *dtypes, *constants.items())
        known = kernel.prepared.get(self._key)
        if known is not None:
            self._bind(known, stream)

    def _bind(self, known: prepared.Prepared, stream: int) -> None:
        values, moving = known.head(self._programs, stream), []
        for argument in self._arguments:
            if isinstance(argument, Each):
                moving.append((len(values), argument.entries.data_ptr(), argument.apart()))
            values.append(argument.data_ptr() if isinstance(argument, Tensor) else argument)
        values += known.constants
        self._direct, self._values, self._moving = known.run, values, moving

    def __call__(self, i: int = 0) -> None:
        direct = self._direct
        if direct is None:
            self._first(i)
            return
        values = self._values
        for place, start, apart in self._moving:
            values[place] = start + i * apart
        direct(*values)

    def _first(self, i: int) -> None:
        """Triton's own launch; the first two of a variant, and all where launches are not prepared."""
        kernel, arguments = self._kernel, [at(argument, i) for argument in self._arguments]
        options = {**self._constants, **launch.fusion()}
        # torch 2.11 wraps no interpreted kernel, not even to launch it directly.
        form = kernel.forms[self.wide]
        function = (wrap_triton(form) if self._traced else form)[(self._programs,)]

        def by_triton() -> Any:
            return function(*arguments, WIDE=self.wide, **options)

        compiled = None if self._key is None else kernel.compiled.get(self._key)
        if self._key is None:
            by_triton()
        elif compiled is None:
            kernel.compiled[self._key] = by_triton()
        else:
            given = {"WIDE": self.wide, **self._constants}
            constants = tuple(given[name] for name in kernel.constants)
            known = prepared.prepare(compiled, by_triton, self._programs, arguments, constants)
            if known is None:
                self._key = None
            else:
                kernel.prepared[self._key] = known
                self._bind(known, prepared.device_and_stream()[1])


class Kernel:
    """A kernel in two forms: with rows in wide loads, and with rows of any size at any address.

    Args:
        function: its constants stand last, ``WIDE`` first of them; sizes of ``rows`` pass through :func:`in_eights`.
        rows: integers by which rows are addressed.
        counts: all other integers. No value of an integer is compiled in.
        single: pointers to numbers that lie in no such rows, one a position or a source: their alignment decides
            nothing, as slices change it.
    """

    def __init__(self, function: Callable, rows: str, counts: str, single: str) -> None:
        names = list(inspect.signature(function).parameters)
        split = names.index("WIDE")
        plain, self.constants = names[:split], names[split:]
        integers = [*rows.split(), *counts.split()]
        self.name = f"{function.__module__.rsplit('.', 1)[1]}.{function.__name__}"
        self.integers = [plain.index(name) for name in integers]
        self.pointers = [i for i, name in enumerate(plain) if name not in integers]
        self._rows = self.integers[: len(rows.split())]
        self._aligned = [i for i in self.pointers if plain[i] not in single.split()]
        self.forms: dict[bool, Any] = {
            True: triton.jit(function, do_not_specialize=integers, do_not_specialize_on_alignment=single.split()),
            False: triton.jit(function, do_not_specialize=plain),
        }
        # Variants by device, form, dtypes and constants: as Triton compiled them, and once they are prepared.
        self.compiled: dict[tuple, Any] = {}
        self.prepared: dict[tuple, prepared.Prepared] = {}

    def launch(self, programs: int, *arguments: Argument, **constants: Any) -> Launch:
        """Launches of so many programs, arguments in their order, constants and the compiler's options by name."""
        return Launch(self, programs, arguments, constants)

    def start(self, programs: int, *arguments: Tensor | int | None, **constants: Any) -> None:
        """One launch."""
        Launch(self, programs, arguments, constants)()

    def in_wide_rows(self, arguments: tuple, traced: bool) -> bool:
        """Whether rows fit wide loads; of addresses, which are not known while torch.compile traces, Triton decides."""
        if not launch.in_wide_loads(*[arguments[i] for i in self._rows]):
            return False
        if traced:
            return True
        for i in self._aligned:
            argument = arguments[i]
            if isinstance(argument, Each):
                if (argument.entries.data_ptr() | argument.apart()) % ALIGNMENT:
                    return False
            elif argument is not None and argument.data_ptr() % ALIGNMENT:
                return False
        return True


def kernel(*, rows: str, counts: str = "", single: str = "") -> Callable[[Callable], Kernel]:
    """The decorator that makes a :class:`Kernel`; names are separated by spaces."""
    return lambda function: Kernel(function, rows, counts, single)
