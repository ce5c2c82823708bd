"""What tells that there is not enough memory, and what is done with a batch then."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

import torch

T = TypeVar("T")

# Of a CPU's memory torch raises errors of no type of their own.
_SAID = re.compile(
    "(can't|cannot) allocate memory|not enough memory|out of memory|size calculation overflowed|bad_alloc",
    re.IGNORECASE,
)


class OutOfMemory(Exception):
    """The memory is too small for one sentence of a batch.

    Attributes:
        place: of the sentence in the batch.
    """

    def __init__(self, place: int) -> None:
        super().__init__(place)
        self.place = place


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the memory is too small, of a GPU or of this machine."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
        isinstance(error, RuntimeError) and _SAID.search(str(error)) is not None
    )


def in_parts(run: Callable[[slice], list[T]], count: int, first: int = 0) -> list[T]:
    """Run on the rows of a batch, or on its halves one after another where the memory is too small for all of it.

    Args:
        run: returns a result for each of the rows that it is given.
        count: how many rows there are. first: the first of them.

    Raises:
        OutOfMemory: the memory is too small for one row.
    """
    try:
        return run(slice(first, first + count))
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        if count == 1:
            raise OutOfMemory(first) from error
    # Not while the error is handled, which holds what the run had allocated.
    half = count // 2
    return [*in_parts(run, half, first), *in_parts(run, count - half, first + half)]
