"""Autocast, and whether a call is recorded: what the public functions look at before they call an operator."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.autograd import forward_ad

Function = TypeVar("Function", bound=Callable)


def taken_as_given(function: Function) -> Function:
    """``torch.compiler.assume_constant_result``, which would import the compiler together with this package."""
    function.__dict__["_dynamo_marked_constant"] = True
    return function


@taken_as_given
def autocast_available(device_type: str) -> bool:
    """Whether torch.autocast knows the device; torch 2.11 cannot trace the question."""
    return torch.amp.is_autocast_available(device_type)


def no_autocast(device_type: str) -> AbstractContextManager[object]:
    """Autocast off on this device, where it is on: elsewhere it would only be a part of every exported graph."""
    if not autocast_available(device_type) or not torch.is_autocast_enabled(device_type):
        return nullcontext()
    return torch.autocast(device_type, enabled=False)


def autocast_to(device_type: str) -> torch.dtype | None:
    """The dtype that torch.autocast asks for on this device; None where it is off."""
    if not autocast_available(device_type) or not torch.is_autocast_enabled(device_type):
        return None
    return torch.get_autocast_dtype(device_type)


def cast(dtype: torch.dtype | None, *tensors: Tensor | None) -> tuple[Any, ...]:
    """float32 tensors in autocast's dtype; all others as they are (float64 is never narrowed, as in PyTorch)."""
    if dtype is None:
        return tensors
    return tuple(t.to(dtype) if t is not None and t.dtype == torch.float32 else t for t in tensors)


def cast_like(keys: Tensor, *tensors: Tensor | None) -> tuple[Any, ...]:
    """Under autocast, tensors in the dtype of a memory's keys: autocast's where it was made inside, else its own."""
    castable = (torch.float32, torch.float16, torch.bfloat16)
    if autocast_to(keys.device.type) is None or keys.dtype not in castable:
        return tensors
    return tuple(t.to(keys.dtype) if t is not None and t.dtype in castable else t for t in tensors)


def needs_grad(*tensors: Tensor | None) -> bool:
    """Whether the call may be differentiated: transforms of torch.func do not show it in ``requires_grad``."""
    if forward_ad._current_level >= 0 or _transformed():
        return True
    # torch.jit.trace traces twice, once without gradients, and wants the same graph.
    recording = torch.is_grad_enabled() or torch.jit.is_tracing()
    return recording and any(t is not None and t.requires_grad for t in tensors)


def _transformed() -> bool:
    return not torch.compiler.is_compiling() and torch._C._are_functorch_transforms_active()
