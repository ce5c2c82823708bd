"""Kernel arguments: where the bytes of arrays lie, and how parameters are packed."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.emulators.ptx.errors import PtxError
from tests.emulators.ptx.global_memory import GlobalMemory, Region
from tests.emulators.ptx.syntax import Kernel, Parameter


class Struct:
    """A struct parameter. `layout` is that of the `struct` module, aligned natively; `P` is a pointer to an array."""

    def __init__(self, layout: str, *values: Any) -> None:
        self.layout = layout
        self.values = values


class Raw:
    """A parameter as a host made it: `data` are its bytes, `arrays` what the addresses among them point into."""

    def __init__(self, data: bytes, arrays: Sequence[Any]) -> None:
        self.data = data
        self.arrays = arrays


def region(value: Any, name: str) -> Region | None:
    """The bytes that an array or a CPU tensor spans, strides included; None for anything else."""
    if isinstance(value, np.ndarray):
        if not value.size:
            return Region(name, value.ctypes.data, 0, True)
        low, high = np.lib.array_utils.byte_bounds(value)
        owner = value
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
        origin = np.lib.array_utils.byte_bounds(owner)[0]
        return Region(name, low, high - low, bool(value.flags.writeable), origin)
    if hasattr(value, "data_ptr") and hasattr(value, "stride"):
        if value.device.type != "cpu":
            raise TypeError(f"tensors must be on the CPU, not {value.device}")
        if not value.numel():
            return Region(name, 0, 0, True)
        last = sum((extent - 1) * stride for extent, stride in zip(value.shape, value.stride(), strict=True))
        size = (last + 1) * value.element_size()
        return Region(name, value.data_ptr(), size, True, value.untyped_storage().data_ptr())
    return None


def regions(arguments: Sequence[Any], names: Sequence[str]) -> list[Region]:
    """Every array among the arguments and in their structs."""
    found = []
    for name, value in zip(names, arguments, strict=True):
        parts = value.values if isinstance(value, Struct) else value.arrays if isinstance(value, Raw) else (value,)
        for part in parts:
            if (one := region(part, name)) is not None:
                found.append(one)
    return found


def pack(kernel: Kernel, arguments: Sequence[Any], memory: GlobalMemory) -> bytes:
    """The kernel's parameter space."""
    if len(arguments) != len(kernel.parameters):
        raise PtxError(f"{kernel.name} takes {len(kernel.parameters)} arguments, not {len(arguments)}")
    data = b""
    for parameter, value in zip(kernel.parameters, arguments, strict=True):
        data = data.ljust(parameter.offset, b"\0") + _pack_one(parameter, value, memory)
    return data


def _pack_one(parameter: Parameter, value: Any, memory: GlobalMemory) -> bytes:
    size = parameter.size
    host = region(value, "")
    if isinstance(value, Struct):
        fields = [_address(field, memory) for field in value.values]
        data = struct.pack("@" + value.layout.replace("P", "Q"), *fields).ljust(size, b"\0")
    elif isinstance(value, Raw):
        words = [int.from_bytes(value.data[i : i + 8], "little") for i in range(0, len(value.data) // 8 * 8, 8)]
        data = b"".join(memory.relocated(word).to_bytes(8, "little") for word in words) + value.data[8 * len(words) :]
    elif host is not None or value is None:
        data = _address(value, memory).to_bytes(8, "little")
    elif parameter.type in ("f32", "f64") or isinstance(value, float | np.floating):
        data = struct.pack({4: "<f", 8: "<d"}[size], value)
    else:
        data = (int(value) % (1 << 8 * size)).to_bytes(size, "little")
    if len(data) != size:
        raise PtxError(f"parameter {parameter.name} has {size} bytes, its argument {len(data)}: {value!r}")
    return data


def _address(value: Any, memory: GlobalMemory) -> Any:
    host = region(value, "")
    if host is not None:
        return memory.address_of(host.host, host.size)
    return 0 if value is None else value
