"""What the layers ask of any ``torch.nn.Module``: may it be read instead of called, in which dtype does it compute."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch._subclasses.functional_tensor import FunctionalTensor
from torch.nn.modules.module import _has_any_global_hook
from torch.nn.utils.parametrize import type_before_parametrizations

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
# The last two stand for ordinary tensors while torch.compile and torch.export trace.
_ORDINARY = (Tensor, nn.Parameter, FakeTensor, FunctionalTensor)


def is_plain(module: nn.Module | None, *kinds: type[nn.Module]) -> bool:
    """Whether calling the module is the formula of its class, one of ``kinds``, on the parameters that it shows.

    Then an operator may compute that formula from the parameters. A module of another class (an adapter, a quantised
    layer, a subclass), one with hooks, with a ``forward`` of its own or with parameters of a tensor subclass must be
    called. Parametrizations (``torch.nn.utils.parametrize``) are no obstacle: reading a parameter computes them.
    """
    return (
        module is not None
        and type_before_parametrizations(module) in kinds
        and "forward" not in vars(module)
        and not any(getattr(module, hooks) for hooks in _HOOKS)
        and not _has_any_global_hook()
        and all(type(parameter) in _ORDINARY for parameter in module.parameters(recurse=False))
    )


def parameter_dtype(module: nn.Module, default: torch.dtype) -> torch.dtype:
    """The dtype that a module computes in: its first floating point parameter's."""
    for parameter in module.parameters():
        if parameter.is_floating_point():
            return parameter.dtype
    return default


def reset_children(module: nn.Module) -> None:
    """Draw the parameters of all submodules anew, each by its own ``reset_parameters``."""
    for child in module.children():
        reset = getattr(child, "reset_parameters", None)
        if reset is None:
            reset_children(child)
        else:
            reset()


def options(**values: Any) -> str:
    """``name=value`` of those that are not None, for ``extra_repr``."""
    return ", ".join(f"{name}={value!r}" for name, value in values.items() if value is not None)
