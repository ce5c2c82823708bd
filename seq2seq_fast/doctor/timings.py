"""Each operator on each backend beside eager PyTorch and torch.compile: checked, then timed."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

import seq2seq_fast
from seq2seq_fast.doctor.clocks import Call, first_call_seconds, interleave, summary
from seq2seq_fast.doctor.comparison import compare, worst
from seq2seq_fast.doctor.evaluate import captured, gradients, projections, with_gradients
from seq2seq_fast.doctor.operators import Case, Draw, Inputs, Operator, Outputs
from seq2seq_fast.doctor.results import Check, Findings, Timing, one_line

EAGER, COMPILED, GRAPHED = "eager", "torch.compile", " graph"
FORWARD, BOTH = "forward", "forward+backward"
DTYPE = torch.float32
# "paper": arXiv 1409.0473, appendix A and B.
SIZES: dict[str, Mapping[str, int]] = {
    "small": {
        "batch": 16, "queries": 8, "beams": 5, "source": 20, "target": 8, "embedding": 128, "hidden": 128,
        "units": 128, "values": 256,
    },
    "medium": {
        "batch": 32, "queries": 20, "beams": 5, "source": 30, "target": 20, "embedding": 256, "hidden": 256,
        "units": 256, "values": 512,
    },
    "paper": {
        "batch": 80, "queries": 50, "beams": 5, "source": 50, "target": 50, "embedding": 620, "hidden": 1000,
        "units": 1000, "values": 2000,
    },
}  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """How to time.

    Attributes:
        sizes: a name in :data:`SIZES`.
        compiled: torch.compile too; it takes a minute or more.
        seconds: about how long the rounds of one operator and pass take.
    """

    device: torch.device
    backends: Sequence[str]
    sizes: str
    compiled: bool
    seconds: float


def case_of(operator: Operator, sizes: str) -> Case:
    """The sizes that an operator is timed at, with the options that it is checked with first."""
    named = {name: SIZES[sizes][name] for name in operator.timed_sizes}
    return Case(named, operator.degenerate().options)


def time_operator(operator: Operator, settings: Settings, findings: Findings, progress: Callable[[str], None]) -> None:
    """Check and time one operator, in float32; what fails its check or cannot run is not timed."""
    case = case_of(operator, settings.sizes)
    findings.timed_at[operator.name] = str(case)
    bench = _Bench(operator, case, settings.device)
    progress(f"{operator.name}: truth in float64")
    bench.find_truth()
    runs: dict[str, Callable[[], Outputs]] = {}
    for backend in settings.backends:
        progress(f"{operator.name}: checking {backend}")
        check = bench.check(backend)
        findings.checks.append(check)
        if check.passed:
            runs[EAGER if backend == "reference" else backend] = bench.on(backend)
    if settings.compiled:
        runs[COMPILED] = bench.compiled()
    order = [EAGER, COMPILED, *settings.backends]
    runs = {name: runs[name] for name in order if name in runs}

    with uncached_compiler() if settings.compiled else nullcontext():
        for passed in (FORWARD, BOTH):
            calls: dict[str, Call] = {}
            first: dict[str, float] = {}
            for name, run in runs.items():
                progress(f"{operator.name}: {'compiling' if name == COMPILED else 'calling'} {name}, {passed}")
                for contender, make in _ways(name, bench.pass_of(run, passed), settings.device).items():
                    try:
                        calls[contender], first[contender] = make()
                    except Exception as error:  # what cannot run here must not stop the others
                        findings.leave_out(f"timing of {operator.name}, {passed}, {contender}", one_line(error))
                        break
            progress(f"{operator.name}: timing {passed}")
            if calls:
                samples = interleave(calls, settings.device, settings.seconds)
                findings.timings += _timings(operator.name, passed, samples, first)


def _ways(name: str, call: Call, device: torch.device) -> dict[str, Callable[[], tuple[Call, float]]]:
    """How a call is timed: as it is and, on CUDA, as the replay of a graph; each with the seconds until it is ready."""

    def graphed() -> tuple[Call, float]:
        graph: list[torch.cuda.CUDAGraph] = []
        seconds = first_call_seconds(lambda: graph.append(captured(call)), device)
        return graph[0].replay, seconds

    ways: dict[str, Callable[[], tuple[Call, float]]] = {name: lambda: (call, first_call_seconds(call, device))}
    if device.type == "cuda":
        ways[name + GRAPHED] = graphed
    return ways


class _Bench:
    """An operator's inputs at the timed size, and what is called on them."""

    def __init__(self, operator: Operator, case: Case, device: torch.device):
        self.operator, self.case, self.device = operator, case, device
        self.inputs: Inputs = operator.inputs(case, Draw(DTYPE, device)).requiring_gradients()
        with torch.no_grad():
            # Without lengths and masks a memory holds the very keys and values that gradients are taken for.
            self.memory = operator.prepare(self.inputs)
        self.starts: list[Tensor] = []
        self.truth: tuple[Outputs, dict[str, Tensor]] = ({}, {})

    def find_truth(self) -> None:
        """The reference in float64, on the device that is timed: on the CPU it would take minutes."""
        self.truth = with_gradients(self.operator, self.inputs.in_float64(self.device), "reference")
        self.starts = projections({name: output.to(DTYPE) for name, output in self.truth[0].items()})

    def on(self, backend: str) -> Callable[[], Outputs]:
        return lambda: self.operator.call(self.inputs, self.memory, backend)

    def compiled(self) -> Callable[[], Outputs]:
        torch._dynamo.reset()
        if self.operator.is_loop:
            # Unrolling the loop takes the compiler minutes: its step is compiled, as one would do by hand.
            step = torch.compile(seq2seq_fast.attention_decoder_step, dynamic=False)
            return lambda: self.operator.call_in_steps(self.inputs, step)
        return torch.compile(self.on("reference"), dynamic=False)

    def pass_of(self, run: Callable[[], Outputs], passed: str) -> Call:
        if passed == FORWARD:
            return torch.no_grad()(run)
        return lambda: gradients(run(), self.inputs.tensors, self.starts)

    def check(self, backend: str) -> Check:
        """A backend's outputs and gradients at this size, where kernels take other paths than at awkward sizes."""
        about = (backend, self.operator.name, "float32", "the size that is timed")
        where = str(self.case)
        try:
            outputs = self.on(backend)()
            found = outputs, gradients(outputs, self.inputs.tensors, self.starts)
            bounds = self.operator.bounds(self.inputs)
            compared = [
                compare(name, where, got[name], want[name], bound)
                for got, want, bound in zip(found, self.truth, bounds, strict=True)
                for name in want
            ]
        except Exception as error:
            return Check(*about, worst=None, error=one_line(error))
        failed = tuple(comparison for comparison in compared if not comparison.passed)
        return Check(*about, worst=worst(compared), failed=failed, compared=len(compared))


@contextmanager
def uncached_compiler() -> Iterator[None]:
    """Compile anew, so that compile times are true, and keep the compiler's remarks off the screen."""
    from torch._inductor import config

    level = logging.getLogger("torch").level
    with config.patch(force_disable_caches=True), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch").setLevel(logging.ERROR)
        try:
            yield
        finally:
            logging.getLogger("torch").setLevel(level)


def _timings(
    operator: str, passed: str, samples: Mapping[str, Sequence[float]], first: Mapping[str, float]
) -> list[Timing]:
    medians = {name: summary(times)[0] for name, times in samples.items()}
    eager = medians.get(EAGER, torch.nan)
    return [
        Timing(operator, passed, name, *summary(times), len(times), first[name], eager / medians[name])
        for name, times in samples.items()
    ]
