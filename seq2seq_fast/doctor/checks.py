"""The equivalence suite: what every backend must give, for every operator and dtype that it serves."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from seq2seq_fast.cases import Draw, Inputs, Operator, Outputs
from seq2seq_fast.cases.clock import captured
from seq2seq_fast.cases.comparison import Comparison, compare_bits, compare_zeros, worst
from seq2seq_fast.cases.evaluate import (
    Found,
    Run,
    call,
    compare_all,
    differences,
    examined,
    named_gradients,
    on,
    poisoned_memory,
    projections,
    truth,
    with_gradients,
)
from seq2seq_fast.cases.race import one_line
from seq2seq_fast.doctor.results import Check


@dataclass(frozen=True)
class Target:
    """Where a check runs."""

    backend: str
    device: torch.device
    dtype: torch.dtype
    quick: bool = False

    @property
    def draw(self) -> Draw:
        return Draw(self.dtype, self.device)

    def run(self, operator: Operator) -> Run:
        return on(operator, self.backend)


Comparisons = Iterator[Comparison]


def check_outputs(operator: Operator, target: Target) -> Comparisons:
    """Outputs without gradients, at awkward sizes, lengths and masks."""
    for case in operator.cases(target.quick):
        yield from _outputs(operator, operator.inputs(case, target.draw), target, str(case))


def check_gradients(operator: Operator, target: Target) -> Comparisons:
    """Recorded outputs and every gradient, at the same."""
    for case in operator.cases(target.quick):
        yield from examined(operator, operator.inputs(case, target.draw), target.run(operator), str(case))


def check_padding(operator: Operator, target: Target) -> Comparisons:
    """Padding of NaN and infinities and sources with nothing to attend: exact zeros there, no NaN anywhere."""
    case = operator.degenerate()
    inputs = operator.inputs(case, target.draw)
    operator.fill_padding(inputs)
    found, true = with_gradients(operator, inputs, target.run(operator)), truth(operator, inputs)
    yield from differences(found, true, str(case), operator.bounds(inputs))
    for got, want in zip(found, true, strict=True):
        for name in want:
            yield compare_zeros(name, str(case), got[name], want[name])


def check_large_arguments(operator: Operator, target: Target) -> Comparisons:
    """Arguments far outside the exponentials' range, pairs that cancel, saturated gates."""
    case = operator.degenerate()
    inputs = operator.inputs(case, target.draw)
    if operator.enlarge(inputs):
        yield from examined(operator, inputs, target.run(operator), str(case), large=True)


def check_spoiled_rows(operator: Operator, target: Target) -> Comparisons:
    """NaN in gives NaN out in the rows that it reaches and no others; infinities are arguments like any other."""
    case = operator.degenerate()
    inputs = operator.inputs(case, target.draw)
    operator.spoil(inputs)
    yield from _outputs(operator, inputs, target, str(case))


def check_same_bits(operator: Operator, target: Target) -> Comparisons:
    """Two runs give the same bits, while memory that was never written holds NaN."""
    for case in [*operator.graphed(), operator.cases(target.quick)[-1]]:
        inputs = operator.inputs(case, target.draw)
        with poisoned_memory(), warnings.catch_warnings():
            # Deterministic mode, wanted for its NaN alone, warns of what torch itself does not promise.
            warnings.simplefilter("ignore")
            first, again = (with_gradients(operator, inputs, target.run(operator)) for _ in "ab")
        for one, other in zip(first, again, strict=True):
            for name in one:
                yield compare_bits(name, str(case), one[name], other[name])


def check_cuda_graph(operator: Operator, target: Target) -> Comparisons:
    """Forward and backward captured in a CUDA graph and replayed."""
    for case in operator.graphed():
        inputs = operator.inputs(case, target.draw).requiring_gradients()
        found = _replayed(operator, inputs, target)
        yield from differences(found, truth(operator, inputs), str(case), operator.bounds(inputs))


def _replayed(operator: Operator, inputs: Inputs, target: Target) -> Found:
    """Outputs and gradients as a graph's replay leaves them."""
    run = target.run(operator)
    starts = projections(list(call(operator, inputs, run).values()))
    found: list[Outputs] = []

    def both() -> None:
        outputs = call(operator, inputs, run)
        found[:] = [outputs, named_gradients(outputs, inputs.leaves, starts)]

    (graph,) = captured(lambda: [both])
    graph.replay()
    torch.cuda.synchronize(target.device)
    return found[0], found[1]


CHECKS: dict[str, Callable[[Operator, Target], Comparisons]] = {
    "outputs": check_outputs,
    "gradients": check_gradients,
    "padding, empty rows": check_padding,
    "large arguments": check_large_arguments,
    "NaN and infinities": check_spoiled_rows,
    "same bits twice": check_same_bits,
    "CUDA graph replay": check_cuda_graph,
}


def applicable(operator: Operator, device: torch.device) -> list[str]:
    """The checks that mean something for an operator on a device."""
    left_out = {"padding, empty rows"} if not operator.attends else set()
    if device.type != "cuda":
        left_out.add("CUDA graph replay")
    return [name for name in CHECKS if name not in left_out]


def run_check(name: str, operator: Operator, target: Target) -> Check | None:
    """Run one; what raises has failed. None where it does not apply to the dtype."""
    about = (target.backend, operator.name, str(target.dtype).removeprefix("torch."), name)
    try:
        check = judged(about, list(CHECKS[name](operator, target)))
    except Exception as error:
        return Check(*about, worst=None, error=one_line(error))
    return check if check.compared else None


def judged(about: tuple[str, str, str, str], compared: Sequence[Comparison]) -> Check:
    """Backend, operator, dtype and check, with what the comparisons say."""
    failed = tuple(comparison for comparison in compared if not comparison.passed)
    return Check(*about, worst=worst(compared), failed=failed, compared=len(compared))


def _outputs(operator: Operator, inputs: Inputs, target: Target, where: str) -> Comparisons:
    with torch.no_grad():
        found = call(operator, inputs, target.run(operator))
        true = call(operator, inputs.to(torch.float64), on(operator, "reference"))
    yield from compare_all(found, true, where, operator.bounds(inputs)[0])
