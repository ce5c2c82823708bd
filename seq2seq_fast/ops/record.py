"""Values made of tensors, as ordinary as a tensor: what belongs to a batch travels as one argument."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils.data._utils.collate import collate, default_collate_fn_map

Self = TypeVar("Self", bound="Record")


class Record:
    """What the frozen dataclasses of tensors share; each field is a tensor, a record, None, or a tuple or dict of them.

    A record is a pytree (``torch.utils._pytree``): torch.compile, torch.export, torch.func and checkpointing take it as
    an argument and return it. A DataLoader stacks records of one source each and pins them, ``torch.load`` reads them
    with ``weights_only``, and two of them are equal where they are the same object.
    """

    def map_tensors(self: Self, function: Callable[[Tensor], Any]) -> Self:
        """The function applied to every tensor."""
        return pytree.tree_map_only(Tensor, function, self)

    def to(self: Self, *args: Any, **kwargs: Any) -> Self:
        """On another device or in another dtype, with the arguments of ``torch.nn.Module.to``.

        Integers and masks keep their dtypes.

        Raises:
            TypeError: the dtype is not floating point.
        """
        device, dtype, non_blocking, _ = torch._C._nn._parse_to(*args, **kwargs)
        if dtype is not None and not dtype.is_floating_point:
            raise TypeError(f"dtype must be floating point; got {dtype}")
        return self._to(device, dtype, non_blocking)

    def _to(self: Self, device: torch.device | None, dtype: torch.dtype | None, non_blocking: bool) -> Self:
        def move(part: Any) -> Any:
            if isinstance(part, Record):
                return part._to(device, dtype, non_blocking)
            if not isinstance(part, Tensor):
                return part
            return part.to(device, dtype if part.is_floating_point() else None, non_blocking)

        # A record in this one may keep a wider dtype in some of its tensors, so it moves itself.
        return pytree.tree_map(move, self, is_leaf=lambda part: isinstance(part, Record) and part is not self)

    def cpu(self: Self) -> Self:
        return self.to("cpu")

    def cuda(self: Self, device: int | torch.device | None = None, non_blocking: bool = False) -> Self:
        return self.to(torch.device("cuda") if device is None else device, non_blocking=non_blocking)

    def detach(self: Self) -> Self:
        """Without the graph that made it, as truncated backpropagation through time wants."""
        return self.map_tensors(Tensor.detach)

    def clone(self: Self) -> Self:
        return self.map_tensors(Tensor.clone)

    def pin_memory(self: Self, device: Any = None) -> Self:
        """In page-locked memory; a DataLoader with ``pin_memory=True`` calls this."""
        return self.map_tensors(lambda part: part.pin_memory() if device is None else part.pin_memory(device))

    def __getitem__(self: Self, index: Any) -> Self:
        """The sources named by the index of the first axis: [N] int64, [B] bool, a slice, or a number for one source.

        One source has no axis of the batch any more; ``torch.utils.data.default_collate`` gives it back.
        """
        return self.map_tensors(lambda part: part[index])

    def select(self: Self, index: Tensor) -> Self:
        """The sources named by ``index`` ([N] int64, or [B] bool), in that order: sentences that are still decoded."""
        return self[index]

    def __repr__(self) -> str:
        parts = [f"{name}={_shapes(value)}" for name, value in vars(self).items() if value is not None]
        first = next((part for part in pytree.tree_leaves(self) if isinstance(part, Tensor)), None)
        if first is not None:
            parts += [str(first.dtype), str(first.device)]
        return f"{type(self).__name__}({', '.join(parts)})"


def _shapes(value: Any) -> str:
    if isinstance(value, Tensor):
        return str(list(value.shape))
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name!r}: {_shapes(part)}" for name, part in value.items()) + "}"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(_shapes, value)) + ")"
    return repr(value)


Class = TypeVar("Class", bound=type)


def register_record(cls: Class) -> Class:
    """Make a record, or a named tuple that holds records, known to pytrees and to ``torch.load``."""
    name = f"{cls.__module__}.{cls.__qualname__}"
    if issubclass(cls, Record):
        torch.export.register_dataclass(cls, serialized_type_name=name)
    else:
        pytree._register_namedtuple(cls, serialized_type_name=name)
    torch.serialization.add_safe_globals([cls])
    return cls


def _collate(batch: list[Record], *, collate_fn_map: Any = None) -> Record:
    layouts = [pytree.tree_structure(record) for record in batch]
    if any(layout != layouts[0] for layout in layouts):
        raise TypeError(f"records that become one batch must have the same fields; got {batch}")
    return pytree.tree_map(lambda *parts: collate(list(parts), collate_fn_map=collate_fn_map), *batch)


default_collate_fn_map[Record] = _collate
