"""Nothing is timed before its results agree with float64 truth within the bound that its workload declares."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks.contenders import Contender
from benchmarks.workload import Bound, Inputs, Outputs, Workload
from seq2seq_fast.reference.precision import accumulation_dtype

Results = list[tuple[str, Tensor]]


class CheckFailed(AssertionError):
    """A contender's results differ from the reference."""


def output_gradients(outputs: Outputs) -> list[Tensor]:
    """Gradients to start backward from, one for each output that has any.

    Each is a bfloat16 number, so that the contenders and the truth start from the same ones in every dtype.
    """
    generator = torch.Generator().manual_seed(1)
    return [
        torch.randn(output.shape, generator=generator).bfloat16().to(output.device, output.dtype)
        for output in differentiable(outputs)
    ]


def differentiable(outputs: Outputs) -> list[Tensor]:
    return [output for output in outputs if output is not None and output.requires_grad]


def truth(workload: Workload, made: Inputs, gradients: bool) -> Results:
    """Outputs, and gradients where asked for, of the reference in float64 on the inputs that the contenders get.

    Args:
        made: what ``workload.make_inputs`` gave, before it was prepared.
    """
    inputs = workload.prepared({name: _double(value) for name, value in made.items()})
    return results_of(workload, lambda inputs: workload.run(inputs, "reference"), inputs, gradients)


def results_of(workload: Workload, call: Callable[[Inputs], Outputs], inputs: Inputs, gradients: bool) -> Results:
    """Named outputs of a call, and gradients of the workload's leaves where asked for."""
    outputs = call(inputs)
    results = [(f"output {i}", output.detach()) for i, output in enumerate(outputs) if output is not None]
    leaves = workload.leaves(inputs)
    if leaves and gradients:
        grads = torch.autograd.grad(differentiable(outputs), leaves, output_gradients(outputs))
        results += [(f"gradient {i}", grad) for i, grad in enumerate(grads)]
    return results


def check(workload: Workload, contender: Contender, inputs: Inputs, results: Results, expected: Results) -> None:
    """Compare a contender's results with the truth.

    A baseline in 16 bits rounds after every operation and is held to 5% only: its check says that it computes the
    same thing, not that it is accurate.

    Raises:
        CheckFailed: naming the tensors that are further off than the workload's bound.
    """
    bound, failures = workload.bound(inputs), []
    if len(results) != len(expected):
        raise CheckFailed(f"{contender.name} returned {len(results)} tensors, the reference {len(expected)}")
    gradients = [_size(want) for name, want in expected if name.startswith("gradient")]
    floor = bound.floor * max(gradients, default=0.0)
    for (name, got), (_, want) in zip(results, expected, strict=True):
        failure = _compare(got, want, bound, floor if name.startswith("gradient") else None, contender.is_baseline)
        if failure:
            failures.append(f"{name}: {failure}")
    if failures:
        told = "; ".join(failures[:3]) + (f"; and {len(failures) - 3} more" if len(failures) > 3 else "")
        raise CheckFailed(f"{contender.name} is wrong on {workload.name}: {told}")


def _size(tensor: Tensor) -> float:
    return tensor.detach().abs().max().item() if tensor.numel() else 0.0


def _compare(got: Tensor, want: Tensor, bound: Bound, floor: float | None, is_baseline: bool) -> str:
    """What is wrong with a tensor, empty if nothing; ``floor`` is the size that a gradient has at least."""
    if got.shape != want.shape:
        return f"shape {tuple(got.shape)}, not {tuple(want.shape)}"
    if got.numel() == 0:
        return ""
    got, want = got.detach(), want.detach()
    size = max(_size(want), floor or 0.0)
    eps, eps_out = torch.finfo(accumulation_dtype(got.dtype)).eps, torch.finfo(got.dtype).eps
    allowed = eps * (bound.absolute + bound.relative * size) + eps_out * bound.roundings * size
    if floor is not None:
        allowed = max(allowed, eps * bound.relative * size) * bound.gradient
    if is_baseline and got.dtype.itemsize == 2:
        allowed = max(allowed, 0.05 * size)
    error = (got.double() - want.to(got.device)).abs().max().item()
    return "" if error <= allowed else f"off by {error:.3g}, allowed {allowed:.3g}, largest entry {size:.3g}"


def _double(value: Any) -> Any:
    if isinstance(value, Tensor):
        value = value.detach()
        return value.double() if value.is_floating_point() else value
    return copy.deepcopy(value).double() if isinstance(value, torch.nn.Module) else value
