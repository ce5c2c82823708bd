"""What eager PyTorch launches for a function, from tracing it on meta tensors: kernels, bytes, special functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks.gpu_report.machine_code.devices import Rates
from benchmarks.gpu_report.tensors import size_of

# These allocate or rename; they launch nothing.
_SILENT = {"empty", "empty_like", "empty_strided", "new_empty", "detach", "alias", "lift_fresh", "_unsafe_view"}
# Special-function instructions an element: e^x is one, a sigmoid or a tanh one and a reciprocal.
_SPECIAL = {"tanh": 2, "tanh_": 2, "sigmoid": 2, "exp": 1, "exp_": 1, "_softmax": 1, "log": 1, "reciprocal": 1}


@dataclass(frozen=True)
class EagerKernel:
    """One kernel: bytes of its inputs and outputs, each once, special functions, FP32 instructions of a product."""

    name: str
    bytes: int
    special: int = 0
    products: int = 0

    def seconds(self, rates: Rates, wide: bool) -> float:
        """The least time that published rates allow; products of 16 bits are for the tensor cores and count nothing."""
        arithmetic = self.products / rates.fp32_per_second if wide else 0.0
        return max(self.bytes / rates.bandwidth, self.special / rates.special_per_second, arithmetic)


class EagerTrace(TorchDispatchMode):
    """Collects the kernels of everything that runs inside."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels: list[EagerKernel] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        is_view = any(r.alias_info is not None and not r.alias_info.is_write for r in func._schema.returns)
        if func.namespace == "aten" and not is_view and name not in _SILENT:
            self.kernels.append(_kernel(name, args, kwargs or {}, result))
        return result


def _kernel(name: str, args: object, keywords: object, result: object) -> EagerKernel:
    outputs = [t for t in tree_leaves(result) if isinstance(t, Tensor)]
    inputs = [t for t in tree_leaves((args, keywords)) if isinstance(t, Tensor)]
    moved = sum(_stored(t) for t in {id(t): t for t in [*inputs, *outputs]}.values())
    products = 0
    if name in ("mm", "bmm", "addmm", "baddbmm", "mv") and outputs:
        left = [t for t in tree_leaves(args) if isinstance(t, Tensor)][-2]  # `out` stands among the keywords
        products = outputs[0].numel() * left.shape[-1]
    return EagerKernel(name, moved, _SPECIAL.get(name, 0) * sum(t.numel() for t in outputs), products)


def _stored(tensor: Tensor) -> int:
    """Bytes of a tensor, an expanded one's repetitions counted once."""
    return min(size_of(tensor), tensor.untyped_storage().nbytes())


def eager_kernels(function: Callable[..., Sequence[Tensor | None]], inputs: Sequence[Tensor]) -> tuple[list, list]:
    """Kernels of forward and of backward."""
    leaves = [t.detach().requires_grad_() for t in inputs]
    with EagerTrace() as forward:
        outputs = [o for o in function(*leaves) if o is not None and o.requires_grad]
    cotangents = [torch.empty_like(o) for o in outputs]
    with EagerTrace() as backward:
        torch.autograd.grad(outputs, leaves, cotangents)
    return forward.kernels, backward.kernels
