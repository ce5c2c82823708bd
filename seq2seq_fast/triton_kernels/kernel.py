"""A Triton kernel with what its host functions need: few compiled variants, wide loads at every size that allows them.

Triton compiles a kernel again for each integer that is 1 or a multiple of 16, and for each pointer that is aligned.
Sizes of batches would so choose among hundreds of variants, and rows of 1,000 numbers, 16-byte aligned but no multiple
of 16, would be read number by number. Here one property of a launch is compiled in instead: ``WIDE``, whether rows lie
a multiple of 8 numbers apart and start at 16-byte boundaries.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import triton
import triton.language as tl
from torch import Tensor
from torch._library.triton import is_wrap_triton_enabled
from torch.library import wrap_triton

from seq2seq_fast.triton_kernels import launch

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


class Kernel:
    """A kernel in two forms: with rows in wide loads, and with rows of any size at any address.

    Args:
        function: its constants stand last, ``WIDE`` among them; sizes of ``rows`` pass through :func:`in_eights`.
        rows: integers by which rows are addressed.
        counts: all other integers. No value of an integer is compiled in.
        single: pointers to numbers that lie in no such rows, one a position or a source: their alignment decides
            nothing, as slices change it.
    """

    def __init__(self, function: Callable, rows: str, counts: str, single: str) -> None:
        names = list(inspect.signature(function).parameters)
        self.name = f"{function.__module__.rsplit('.', 1)[1]}.{function.__name__}"
        integers = [*rows.split(), *counts.split()]
        plain = names[: names.index("WIDE")]
        self._row_places = [plain.index(name) for name in rows.split()]
        self._aligned_places = [i for i, name in enumerate(plain) if name not in (*integers, *single.split())]
        self._forms: dict[bool, Any] = {
            True: triton.jit(function, do_not_specialize=integers, do_not_specialize_on_alignment=single.split()),
            False: triton.jit(function, do_not_specialize=plain),
        }

    def start(self, programs: int, *arguments: Tensor | int | None, **constants: Any) -> None:
        """Launch so many programs with the arguments in their order, and constants and compiler's options by name."""
        wide = all(launch.in_wide_loads(arguments[i]) for i in self._row_places)  # type: ignore[arg-type]
        traced = is_wrap_triton_enabled()
        wide = wide and (traced or self._aligned(arguments))
        # torch 2.11 wraps no interpreted kernel, not even to launch it directly.
        launcher = wrap_triton(self._forms[wide]) if traced else self._forms[wide]
        launcher[(programs,)](*arguments, WIDE=wide, **constants, **launch.fusion())

    def _aligned(self, arguments: tuple) -> bool:
        given = (arguments[i] for i in self._aligned_places)
        return not any(tensor.data_ptr() % ALIGNMENT for tensor in given if tensor is not None)


def kernel(*, rows: str, counts: str = "", single: str = "") -> Callable[[Callable], Kernel]:
    """The decorator that makes a :class:`Kernel`; names are separated by spaces."""
    return lambda function: Kernel(function, rows, counts, single)
