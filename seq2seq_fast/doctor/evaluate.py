"""One call of an operator with the gradients of a random projection of its outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from seq2seq_fast.doctor.operators import Inputs, Operator, Outputs


def call(operator: Operator, inputs: Inputs, backend: str) -> Outputs:
    """The operator on a memory made for this call."""
    return operator.call(inputs, operator.prepare(inputs), backend)


def projections(outputs: Mapping[str, Tensor]) -> list[Tensor]:
    """Gradients to start backward from.

    Drawn on the CPU and rounded to bfloat16, so that every precision of one call starts from the same numbers.
    """
    generator = torch.Generator().manual_seed(1)
    return [
        torch.randn(output.shape, generator=generator).bfloat16().to(output.dtype).to(output.device)
        for output in outputs.values()
    ]


def gradients(outputs: Mapping[str, Tensor], tensors: Mapping[str, Tensor], starts: list[Tensor]) -> dict[str, Tensor]:
    """By the tensors' names; zeros for what no output depends on."""
    found = torch.autograd.grad(list(outputs.values()), list(tensors.values()), starts, allow_unused=True)
    return {
        f"gradient of {name}": torch.zeros_like(tensor) if grad is None else grad
        for (name, tensor), grad in zip(tensors.items(), found, strict=True)
    }


def with_gradients(operator: Operator, inputs: Inputs, backend: str) -> tuple[Outputs, dict[str, Tensor]]:
    """Outputs of a recorded call, and the gradient of every tensor."""
    inputs = inputs.requiring_gradients()
    outputs = call(operator, inputs, backend)
    return outputs, gradients(outputs, inputs.tensors, projections(outputs))


def truth(operator: Operator, inputs: Inputs) -> tuple[Outputs, dict[str, Tensor]]:
    """The same of the reference in float64 on the CPU."""
    return with_gradients(operator, inputs.in_float64(), "reference")


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


@contextmanager
def exact_products() -> Iterator[None]:
    """Matrix products in full float32: TF32 would be measured in place of the operators."""
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)


def captured(run: Callable[[], object]) -> torch.cuda.CUDAGraph:
    """A CUDA graph of ``run``, on whose outputs the caller has kept hold."""
    # Libraries make handles and workspaces on first use, which a capture forbids: run a few times beside it.
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph
