"""One call of an operator with the gradients of a random projection of its outputs, beside its truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor

from seq2seq_fast.cases.comparison import Bound, Comparison, compare
from seq2seq_fast.cases.operator import Inputs, Operator, Outputs
from seq2seq_fast.ops import AttentionMemory

Run = Callable[[Inputs, AttentionMemory | None], Outputs]
Found = tuple[Outputs, dict[str, Tensor]]


def on(operator: Operator, backend: str) -> Run:
    return partial(operator.call, backend=backend)


def call(operator: Operator, inputs: Inputs, run: Run) -> Outputs:
    """The operator on a memory made for this call."""
    return run(inputs, operator.prepare(inputs))


def projections(outputs: Sequence[Tensor], seed: int = 1) -> list[Tensor]:
    """Gradients to start backward from.

    Drawn on the CPU and rounded to bfloat16, so that every precision of one call starts from the same numbers.
    """
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(o.shape, generator=generator).bfloat16().to(o.dtype).to(o.device) for o in outputs]


def gradients(outputs: Sequence[Tensor], leaves: Sequence[Tensor], starts: Sequence[Tensor]) -> list[Tensor]:
    """Zeros for what no output depends on."""
    pairs = [(output, start) for output, start in zip(outputs, starts, strict=True) if output.requires_grad]
    if not pairs:
        return [torch.zeros_like(leaf) for leaf in leaves]
    found = torch.autograd.grad([o for o, _ in pairs], leaves, [s for _, s in pairs], allow_unused=True)
    return [torch.zeros_like(leaf) if grad is None else grad for leaf, grad in zip(leaves, found, strict=True)]


def named_gradients(outputs: Outputs, leaves: Mapping[str, Tensor], starts: Sequence[Tensor]) -> dict[str, Tensor]:
    found = gradients(list(outputs.values()), list(leaves.values()), starts)
    return {f"gradient of {name}": gradient for name, gradient in zip(leaves, found, strict=True)}


def with_gradients(operator: Operator, inputs: Inputs, run: Run) -> Found:
    """Outputs of a recorded call, and the gradient of every leaf; none where the operator has none."""
    inputs = inputs.requiring_gradients() if operator.differentiable else inputs
    outputs = call(operator, inputs, run)
    leaves = inputs.leaves if operator.differentiable else {}
    return outputs, named_gradients(outputs, leaves, projections(list(outputs.values()))) if leaves else {}


def truth(
    operator: Operator, inputs: Inputs, dtype: torch.dtype = torch.float64, device: torch.device | str = "cpu"
) -> Found:
    """The same of the reference, in float64 on the CPU."""
    return with_gradients(operator, inputs.to(dtype, device), on(operator, "reference"))


def differences(found: Found, true: Found, where: str, bounds: tuple[Bound, Bound]) -> Iterator[Comparison]:
    """Every output and every gradient beside its truth."""
    for got, want, bound in zip(found, true, bounds, strict=True):
        yield from compare_all(got, want, where, bound)


def compare_all(found: Outputs, true: Outputs, where: str, bound: Bound) -> Iterator[Comparison]:
    if found.keys() != true.keys():
        raise ValueError(f"gave {', '.join(found)}; wanted {', '.join(true)}")
    sizes = [float(want.detach().abs().max()) for want in true.values() if bound.floor and want.numel()]
    floor = bound.floor * max(sizes, default=0.0)
    for name, want in true.items():
        yield compare(name, where, found[name], want, bound, floor)


def examined(operator: Operator, inputs: Inputs, run: Run, where: str, large: bool = False) -> Iterator[Comparison]:
    """A call with its gradients beside the truth: all that a proof of an engine needs to ask of one case."""
    bounds = operator.bounds(inputs, large)
    yield from differences(with_gradients(operator, inputs, run), truth(operator, inputs), where, bounds)


@contextmanager
def poisoned_memory() -> Iterator[None]:
    """torch.empty gives NaN, so that reading what was never written shows."""
    utilities = torch.utils.deterministic
    enabled, warn_only = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    fill = utilities.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    utilities.fill_uninitialized_memory = True
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
        utilities.fill_uninitialized_memory = fill
