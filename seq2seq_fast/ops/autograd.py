"""What the operators' autograd functions share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad


def no_autocast(device_type: str) -> AbstractContextManager[object]:
    """Autocast off on this device, where it is on: elsewhere it would only be a part of every exported graph."""
    if not torch.amp.is_autocast_available(device_type) or not torch.is_autocast_enabled(device_type):
        return nullcontext()
    return torch.autocast(device_type, enabled=False)


def autocast_to(device_type: str) -> torch.dtype | None:
    """The dtype that torch.autocast asks for on this device; None where it is off."""
    if not torch.amp.is_autocast_available(device_type) or not torch.is_autocast_enabled(device_type):
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
    """Whether autograd has to record the call, or to refuse it: the kernels have no forward-mode derivative."""
    if forward_ad._current_level >= 0:
        return True
    return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)


def differentiate_again(
    formula: Callable[..., Sequence[Tensor | None]],
    inputs: Sequence[Tensor | None],
    needs: Sequence[bool],
    grads: Sequence[Tensor | None],
) -> tuple[Tensor | None, ...]:
    """Gradients of the reference formula that can be differentiated once more.

    The fused backward kernels have no derivative of their own: where autograd records the backward pass
    (``create_graph=True``), the operator's gradient is taken through its reference instead.
    """
    with torch.enable_grad():
        outputs = formula(*inputs)
        pairs = [(o, g) for o, g in zip(outputs, grads, strict=True) if o is not None and g is not None]
        wanted = [t for t, need in zip(inputs, needs, strict=True) if need and t is not None]
        found = iter(
            torch.autograd.grad(
                [o for o, _ in pairs], wanted, [g for _, g in pairs], create_graph=True, allow_unused=True
            )
            if pairs and wanted
            else ()
        )
    return tuple(next(found) if need and t is not None else None for t, need in zip(inputs, needs, strict=True))


def asked(grads: Sequence[Tensor], needs: Sequence[bool]) -> tuple[Tensor | None, ...]:
    """A raw operator's gradients, None in place of the empty ones that were not asked for."""
    return tuple(grad if need else None for grad, need in zip(grads, needs, strict=True))
