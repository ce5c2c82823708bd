"""What tells that a search needs more memory than there is."""

from __future__ import annotations

import re

import torch

# Of a CPU's memory torch raises errors of no type of their own.
_SAID = re.compile("can't allocate memory|not enough memory|out of memory|size calculation overflowed|std::bad_alloc")


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
