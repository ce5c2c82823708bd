"""Argument checks of the public operators: each names the argument, what was given and what is wanted."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def check_tensor(name: str, tensor: Tensor, layout: str, *sizes: int | None) -> None:
    """``tensor`` must have the sizes (None: any), written for people as ``layout``, "[B, Tx, A]"."""
    if not isinstance(tensor, Tensor):
        instead = ": torch.export traces the operators" if isinstance(tensor, torch.fx.Proxy) else ""
        raise TypeError(f"{name} must be a tensor {layout}; got {type(tensor).__name__}{instead}")
    if type(tensor).__name__ == "DTensor":  # by name: importing torch.distributed.tensor takes longer than this package
        raise TypeError(f"{name} must be a whole tensor {layout}; got a DTensor: pass .full_tensor(), or .to_local()")
    if tensor.is_nested:
        raise TypeError(f"{name} must be a dense tensor {layout}; got a nested tensor: pad it and give lengths")
    if tensor.layout != torch.strided:
        raise TypeError(f"{name} must be a dense tensor {layout}; got layout {tensor.layout}")
    shape = tensor.shape
    if len(shape) != len(sizes):
        raise ValueError(f"{name} must have {len(sizes)} dimensions, {layout}; got shape {tuple(shape)}")
    if torch.jit.is_tracing():
        return  # Sizes are nodes of the graph there; comparing them would only warn.
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
        if not isinstance(tensor, Tensor):
            raise TypeError(f"{name} must be a tensor; got {type(tensor).__name__}")
        if tensor.dtype != reference.dtype:
            raise TypeError(f"{name} must have the dtype of {first}, {reference.dtype}; got {tensor.dtype}")
        if tensor.device != reference.device:
            raise ValueError(f"{name} must be on the device of {first}, {reference.device}; got {tensor.device}")


def check_tokens(name: str, tokens: Tensor) -> None:
    """Token numbers must be int64 or int32, as ``torch.nn.Embedding`` takes them."""
    if tokens.dtype not in (torch.int64, torch.int32):
        raise TypeError(f"{name} must be int64 or int32 tokens; got {tokens.dtype}")


def as_lengths(lengths: Any) -> Tensor | None:
    """``lengths`` as a tensor, given as one or as a list, a tuple or a numpy array; None stays None."""
    if lengths is None or isinstance(lengths, Tensor):
        return lengths
    try:
        found = torch.as_tensor(lengths)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"lengths must be integers [B]; got {type(lengths).__name__}: {error}") from None
    return found.to(torch.int64) if found.numel() == 0 else found


def check_lengths(lengths: Tensor, batch: int, source: int, device: torch.device) -> Tensor:
    """``lengths`` [B] of an integer dtype, as int64 on ``device``.

    Values outside 0 to Tx are an error for CPU tensors. Elsewhere, and where a tracer or a transform looks on, reading
    them would stop the stream or break the graph, so they are clamped.
    """
    given = as_lengths(lengths)
    assert given is not None
    lengths = given
    check_tensor("lengths", lengths, "[B]", batch)
    if lengths.dtype.is_floating_point:
        raise TypeError(
            f"lengths must be integers; got {lengths.dtype}. Relative lengths become counts by "
            f"(lengths * {source}).round().long()"
        )
    if lengths.dtype.is_complex or lengths.dtype == torch.bool:
        hint = "; give a mask as mask=" if lengths.dtype == torch.bool else ""
        raise TypeError(f"lengths must be integers; got {lengths.dtype}{hint}")
    if lengths.device.type == "cpu" and not watched() and lengths.numel():
        low, high = (int(x) for x in lengths.to(torch.int64).aminmax())  # unsigned numbers have no extremes in torch
        if low < 0 or high > source:
            raise ValueError(f"lengths must lie between 0 and the source's {source} positions; got {low} to {high}")
        return lengths.to(device=device, dtype=torch.int64, non_blocking=True)
    return lengths.to(device=device, dtype=torch.int64, non_blocking=True).clamp(0, source)


def watched() -> bool:
    """Whether a tensor's numbers may not be read: a tracer, a fake mode or a transform of torch.func looks on."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return True
    return torch._C._are_functorch_transforms_active() or torch._C._len_torch_dispatch_stack() > 0


def check_mask(name: str, mask: Tensor, batch: int, source: int, device: torch.device) -> Tensor:
    """``mask`` [B, Tx] or [B, 1, Tx] bool on ``device``, True attends; as [B, Tx]."""
    if isinstance(mask, Tensor) and mask.dim() == 3 and mask.shape[1] == 1:
        mask = mask.squeeze(1)
    check_tensor(name, mask, "[B, Tx]", batch, source)
    check_boolean(name, mask)
    if mask.device != device:
        raise ValueError(f"{name} must be on the device of keys, {device}; got {mask.device}")
    return mask


def check_boolean(name: str, mask: Tensor) -> None:
    if mask.dtype != torch.bool:
        instead = "of one that is added to scores write mask == 0, of ones and zeros mask.bool()"
        if not mask.dtype.is_floating_point:
            instead = "write mask.bool()"
        raise TypeError(f"{name} must be boolean, True where a position may be attended; got {mask.dtype}: {instead}")


def check_constant(name: str, tensor: Tensor) -> None:
    """``tensor`` gets no gradient, so it must not ask for one."""
    if tensor.requires_grad:
        raise ValueError(f"{name} is a constant (a dropout mask): pass {name}.detach()")


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}; got {value!r}")
