"""The compiled module, and how its launchers are called."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import TypeVar

import torch
from torch import Tensor

from seq2seq_fast.cuda_kernels.plan import Device

DTYPES = {torch.float32: 0, torch.float16: 1, torch.bfloat16: 2}

# What CUDA says of a cooperative launch that finds no room, or of a context that takes none.
REFUSALS = ("too many blocks in cooperative launch", "operation not supported")
Result = TypeVar("Result")


class Engine:
    """Launches on the device of the tensors and on its current stream.

    Args:
        module: what ``csrc/cuda/bindings.cpp`` makes.
    """

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        self._refused: set[int | None] = set()

    def device(self, like: Tensor) -> Device:
        """What a plan needs to know of the tensor's device."""
        limits = self.limits(like.device.index)
        return replace(limits, cooperative=False) if like.device.index in self._refused else limits

    def in_one_launch(self, like: Tensor, run: Callable[[], Result]) -> Result | None:
        """What ``run`` gives by a cooperative launch; None where the tensor's device refuses it.

        A device may have room for fewer blocks than its properties say (under MPS, in a green context). It is asked
        once: one warning, then plans know.
        """
        try:
            return run()
        except RuntimeError as error:
            if not any(refusal in str(error) for refusal in REFUSALS):
                raise
            self._refused.add(like.device.index)
            warnings.warn(
                f"seq2seq_fast: the decoder takes a few launches a position on {like.device}, which refuses one "
                f"launch of all its multiprocessors ({error}), as under MPS or in a green context",
                stacklevel=2,
            )
            return None

    @functools.cache  # noqa: B019  (an engine lives as long as the process)
    def limits(self, index: int | None) -> Device:
        """The same of a device by its number, None for the current one."""
        if index is None:
            return Device(*self.module.device_limits())
        with torch.cuda.device(index):
            return Device(*self.module.device_limits())

    def launch(self, name: str, like: Tensor, *arguments: Tensor | int | bool | None) -> None:
        """Call a launcher of ``csrc/cuda/launchers.h``: tensors become addresses, None null; a stream is added.

        Raises:
            RuntimeError: CUDA refused, with the launcher's name.
        """
        launcher = getattr(self.module, name)
        converted = [
            argument.data_ptr() if isinstance(argument, Tensor) else 0 if argument is None else argument
            for argument in arguments
        ]
        if like.is_cuda:
            with torch.cuda.device(like.device):
                launcher(*converted, torch.cuda.current_stream(like.device).cuda_stream)
        else:
            launcher(*converted, 0)


def dtype_of(tensor: Tensor) -> int:
    """The number by which the launchers know a dtype."""
    return DTYPES[tensor.dtype]


def addressable(tensor: Tensor) -> Tensor:
    """A contiguous tensor where 16-byte accesses reach it; contiguous() keeps the offset of a view in its storage."""
    tensor = tensor.contiguous()
    return tensor.clone() if tensor.data_ptr() % 16 else tensor


def as_rows(tensor: Tensor) -> tuple[Tensor, int]:
    """A matrix with contiguous rows, and the distance between them."""
    if tensor.stride(1) != 1 and tensor.shape[1] != 1:
        tensor = tensor.contiguous()
    return tensor, tensor.stride(0)
