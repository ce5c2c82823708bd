"""Argument checks of the public operators: each names the argument, what was given and what is wanted."""

from __future__ import annotations

import torch
from torch import Tensor


def check_tensor(name: str, tensor: Tensor, layout: str, *sizes: int | None) -> None:
    """``tensor`` must have the sizes (None: any), written for people as ``layout``, "[B, Tx, A]"."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name} must be a tensor {layout}; got {type(tensor).__name__}")
    if tensor.is_nested:
        raise TypeError(f"{name} must be a dense tensor {layout}; got a nested tensor: pad it and give lengths")
    if tensor.layout != torch.strided:
        raise TypeError(f"{name} must be a dense tensor {layout}; got layout {tensor.layout}")
    shape = tensor.shape
    if len(shape) != len(sizes):
        raise ValueError(f"{name} must have {len(sizes)} dimensions, {layout}; got shape {tuple(shape)}")
    for actual, wanted in zip(shape, sizes, strict=True):
        if wanted is not None and actual != wanted:
            want = ", ".join("any" if size is None else str(size) for size in sizes)
            raise ValueError(f"{name} must be {layout} = [{want}]; got shape {tuple(shape)}")


def check_alike(first: str, reference: Tensor, **others: Tensor | None) -> None:
    """Every other tensor must have the dtype and the device of ``reference``, which must be floating point."""
    if not reference.is_floating_point():
        raise TypeError(f"{first} must be floating point; got {reference.dtype}")
    for name, tensor in others.items():
        if tensor is None:
            continue
        if tensor.dtype != reference.dtype:
            raise TypeError(f"{name} must have the dtype of {first}, {reference.dtype}; got {tensor.dtype}")
        if tensor.device != reference.device:
            raise ValueError(f"{name} must be on the device of {first}, {reference.device}; got {tensor.device}")


def check_tokens(name: str, tokens: Tensor) -> None:
    """Token numbers must be int64 or int32, as ``torch.nn.Embedding`` takes them."""
    if tokens.dtype not in (torch.int64, torch.int32):
        raise TypeError(f"{name} must be int64 or int32 tokens; got {tokens.dtype}")


def check_lengths(lengths: Tensor, batch: int, source: int, device: torch.device) -> Tensor:
    """``lengths`` [B] of an integer dtype, as int64 on ``device``.

    Values outside 0 to Tx are an error for CPU tensors. Elsewhere, and while torch.compile traces, reading them would
    stop the stream or break the graph, so they are clamped.
    """
    check_tensor("lengths", lengths, "[B]", batch)
    if lengths.dtype.is_floating_point or lengths.dtype.is_complex or lengths.dtype == torch.bool:
        raise TypeError(f"lengths must be integers; got {lengths.dtype}")
    if lengths.device.type == "cpu" and not torch.compiler.is_compiling() and lengths.numel():
        low, high = (int(x) for x in lengths.aminmax())
        if low < 0 or high > source:
            raise ValueError(f"lengths must lie between 0 and the source's {source} positions; got {low} to {high}")
        return lengths.to(device=device, dtype=torch.int64, non_blocking=True)
    return lengths.to(device=device, dtype=torch.int64, non_blocking=True).clamp(0, source)


def check_mask(name: str, mask: Tensor, batch: int, source: int, device: torch.device) -> None:
    """``mask`` [B, Tx] bool on ``device``; True attends."""
    check_tensor(name, mask, "[B, Tx]", batch, source)
    if mask.dtype != torch.bool:
        raise TypeError(f"{name} must be boolean, True where a position may be attended; got {mask.dtype}")
    if mask.device != device:
        raise ValueError(f"{name} must be on the device of keys, {device}; got {mask.device}")


def check_constant(name: str, tensor: Tensor) -> None:
    """``tensor`` gets no gradient, so it must not ask for one."""
    if tensor.requires_grad:
        raise ValueError(f"{name} is a constant (a dropout mask): pass {name}.detach()")


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}; got {value!r}")
