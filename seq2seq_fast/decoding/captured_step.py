"""A function of tensors as a CUDA graph: static tensors that it reads and writes, captured once, then replayed."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor


def map_tensors(function: Callable[[str, Tensor], Any], value: Any, name: str = "") -> Any:
    """The value with ``function(name, tensor)`` in place of each tensor in it; the name tells where it stands.

    Raises:
        TypeError: there is something else than tensors and None in its dataclasses, mappings and tuples.
    """
    if value is None:
        return None
    if isinstance(value, Tensor):
        return function(name, value)
    if is_dataclass(value) and not isinstance(value, type):
        parts = {f.name: map_tensors(function, getattr(value, f.name), f"{name}.{f.name}") for f in fields(value)}
        return replace(value, **parts)
    if isinstance(value, Mapping):
        return {key: map_tensors(function, part, f"{name}.{key}") for key, part in value.items()}
    if isinstance(value, tuple):
        items = [map_tensors(function, part, f"{name}.{place}") for place, part in enumerate(value)]
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    raise TypeError(f"{name or 'the value'} must be made of tensors; got {type(value).__name__}")


def tensors_of(value: Any) -> dict[str, Tensor]:
    """The tensors of a value by name."""
    found: dict[str, Tensor] = {}
    map_tensors(found.setdefault, value)
    return found


def layout(tensors: Mapping[str, Tensor]) -> Hashable:
    """What a graph depends on of the tensors that it is given, but for their first axis."""
    return tuple((name, *part.shape[1:], part.dtype, part.device) for name, part in tensors.items())


def record(function: Callable[[], Any], device: torch.device) -> tuple[Any, Callable[[], None]]:
    """Capture a call in a CUDA graph.

    It runs once before, on a stream of its own: Triton compiles and libraries make their workspaces, which a capture
    forbids (https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs).

    Returns:
        what the function has returned, whose tensors hold nothing yet; and what computes them from the tensors that
        the function has read.
    """
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        function()
    torch.cuda.current_stream(device).wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    # Other threads may go on allocating and waiting for their streams (a loader that pins memory does).
    with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
        outputs = function()
    return outputs, graph.replay


class CapturedStep:
    """A function captured for values of one layout, whose tensors have one row a source and at most ``rows`` rows.

    Rows must not depend on each other: those that a call leaves over are computed on what lies there.

    Args:
        function: of a value made of tensors; must not read them on the host.
        given: a value of that layout.
        rows: how many the graph computes.
    """

    def __init__(self, function: Callable[[Any], Any], given: Any, rows: int) -> None:
        static = map_tensors(lambda _, part: part.new_zeros(rows, *part.shape[1:]), given)
        self._inputs = tensors_of(static)
        device = next(iter(self._inputs.values())).device
        self._outputs, self._replay = record(lambda: function(static), device)
        self._used, self._read, self._written = -1, self._inputs, self._outputs

    def __call__(self, given: Mapping[str, Tensor]) -> Any:
        """The function of a value, given as its `tensors_of`; the next call overwrites what this one returns.

        What the function hands on unchanged comes back as the static tensors themselves. Given again, it is not copied.
        """
        self._use(next(iter(given.values())).shape[0])
        for name, static in self._read.items():
            if not _same_memory(static, given[name]):
                static.copy_(given[name])
        self._replay()
        return self._written

    def _use(self, rows: int) -> None:
        if rows != self._used:
            self._read = {name: part[:rows] for name, part in self._inputs.items()}
            self._written = map_tensors(lambda _, part: part[:rows], self._outputs)
            self._used = rows


def _same_memory(one: Tensor, other: Tensor) -> bool:
    return one.data_ptr() == other.data_ptr() and one.stride() == other.stride()
