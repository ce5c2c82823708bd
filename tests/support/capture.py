"""What the capture of a CUDA graph forbids, refused on CPU tensors."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

# These wait for the device to bring a tensor's numbers to the host, or copy numbers from there.
FORBIDDEN = (
    "_local_scalar_dense", "item", "is_nonzero", "nonzero", "masked_select", "_unique2", "equal", "lift_fresh",
)  # fmt: skip


def forbidden(function: Any, args: tuple) -> bool:
    """Whether a capture would end at this call; indexing by a mask counts its entries on the host."""
    name = function.overloadpacket.__name__
    indices = args[1] if len(args) > 1 and isinstance(args[1], (list, tuple)) else ()
    masked = any(isinstance(i, torch.Tensor) and i.dtype == torch.bool for i in indices)
    return name in FORBIDDEN or (name.startswith("index") and masked)


class NothingReadOnTheHost(TorchDispatchMode):
    """Refuses what would stop a CUDA stream or end a capture."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        assert not forbidden(function, args), f"{function} brings numbers to the host, or from there"
        return function(*args, **(kwargs or {}))


def imagined_devices(monkeypatch) -> list[int]:
    """Devices that need no GPU to be made current; the one element is the number of the current one."""
    current = [0]

    def exchange(device):
        before = current[0]
        if device >= 0:
            current[0] = device
        return before

    monkeypatch.setattr(torch.cuda, "_exchange_device", exchange)
    monkeypatch.setattr(torch.cuda, "_maybe_exchange_device", exchange)
    return current
