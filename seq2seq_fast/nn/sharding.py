"""Methods besides ``forward`` that compute with a module's parameters, which FSDP2 must gather for them too."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, ClassVar


class ForwardMethods:
    """A module whose methods named in ``forward_methods`` are called as its ``forward`` is.

    ``torch.distributed.fsdp.fully_shard`` gives a module a class of its own, derived from ``FSDPModule``; there these
    methods register themselves by ``register_fsdp_forward_method`` when they are first called. They must not call each
    other on the same module, nor ``forward`` them: the inner call would scatter the parameters again.
    """

    forward_methods: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        fsdp = sys.modules.get("torch.distributed.fsdp")
        if fsdp is not None and issubclass(cls, fsdp.FSDPModule):
            for name in cls.forward_methods:
                setattr(cls, name, _registered_when_called(getattr(cls, name)))


def _registered_when_called(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(self: Any, *arguments: Any, **options: Any) -> Any:
        from torch.distributed.fsdp import register_fsdp_forward_method

        setattr(self, method.__name__, method.__get__(self))
        register_fsdp_forward_method(self, method.__name__)
        return getattr(self, method.__name__)(*arguments, **options)

    return call
