"""Each operator on each backend beside eager PyTorch and torch.compile: checked, then timed."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch

from seq2seq_fast.cases import Case, Draw, Inputs, Operator, Outputs
from seq2seq_fast.cases.clock import Phase, captured, clock_for, first_call_seconds, interleave, summary
from seq2seq_fast.cases.evaluate import Found, Run, differences, named_gradients, on, projections, truth
from seq2seq_fast.doctor.checks import judged
from seq2seq_fast.doctor.results import Check, Findings, Timing, one_line

EAGER, COMPILED, GRAPHED = "eager", "torch.compile", " graph"
FORWARD, BOTH = "forward", "forward+backward"
DTYPE = torch.float32


@dataclass(frozen=True)
class Settings:
    """How to time.

    Attributes:
        place: whose sizes, a name in :data:`seq2seq_fast.cases.sizes.PLACES`.
        compiled: torch.compile too; it takes a minute or more.
        seconds: about how long the rounds of one operator and pass take.
    """

    device: torch.device
    backends: Sequence[str]
    place: str
    compiled: bool
    seconds: float


def time_operator(operator: Operator, settings: Settings, findings: Findings, progress: Callable[[str], None]) -> None:
    """Check and time one operator, in float32; what fails its check or cannot run is not timed."""
    case = operator.at(settings.place)
    findings.timed_at[operator.name] = str(case)
    progress(f"{operator.name}: truth in float64")
    bench = _Bench(operator, case, settings.device)
    runs: dict[str, Run] = {}
    progress(f"{operator.name}: checking {EAGER}")
    eager = bench.check(EAGER, _ignoring_memory(operator.eager))
    if eager.passed:
        runs[EAGER] = _ignoring_memory(operator.eager)
    else:
        findings.leave_out(f"timing of {operator.name}, {EAGER}", eager.explanations[0])
    if settings.compiled:
        torch._dynamo.reset()
        runs[COMPILED] = _ignoring_memory(operator.compiled())
    for backend in settings.backends:
        progress(f"{operator.name}: checking {backend}")
        check = bench.check(backend, on(operator, backend))
        findings.checks.append(check)
        if check.passed and backend != "reference":
            runs[backend] = on(operator, backend)

    with uncached_compiler() if settings.compiled else nullcontext():
        for passed in (FORWARD, BOTH):
            calls: dict[str, Phase] = {}
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
                rounds = {name: lambda turn, call=call: [call] for name, call in calls.items()}
                samples = interleave(rounds, clock_for(settings.device), settings.seconds)
                findings.timings += _timings(operator.name, passed, samples, first)


def _ignoring_memory(call: Callable[[Inputs], Outputs]) -> Run:
    return lambda inputs, memory: call(inputs)


def _ways(name: str, call: Phase, device: torch.device) -> dict[str, Callable[[], tuple[Phase, float]]]:
    """How a call is timed: as it is and, on CUDA, as the replay of a graph; each with the seconds until it is ready."""

    def graphed() -> tuple[Phase, float]:
        graphs: list[torch.cuda.CUDAGraph] = []
        seconds = first_call_seconds(lambda: graphs.extend(captured(lambda: [call])), device)
        return graphs[0].replay, seconds

    ways: dict[str, Callable[[], tuple[Phase, float]]] = {name: lambda: (call, first_call_seconds(call, device))}
    if device.type == "cuda":
        ways[name + GRAPHED] = graphed
    return ways


class _Bench:
    """An operator's inputs at the timed size, their truth, and what is called on them."""

    def __init__(self, operator: Operator, case: Case, device: torch.device):
        self.operator, self.where = operator, str(case)
        self.inputs: Inputs = operator.inputs(case, Draw(DTYPE, device)).requiring_gradients()
        with torch.no_grad():
            # Without lengths and masks a memory holds the very keys and values that gradients are taken for.
            self.memory = operator.prepare(self.inputs)
        # On the device that is timed: on the CPU it would take minutes.
        self.truth = truth(operator, self.inputs, device=device)
        self.starts = projections([output.to(DTYPE) for output in self.truth[0].values()])

    def pass_of(self, run: Run, passed: str) -> Phase:
        if passed == FORWARD:
            return lambda: torch.no_grad()(run)(self.inputs, self.memory)
        return lambda: self._both(run)

    def check(self, name: str, run: Run) -> Check:
        """Outputs and gradients at this size, where kernels take other paths than at awkward sizes."""
        about = (name, self.operator.name, "float32", "the size that is timed")
        bounds = self.operator.bounds(self.inputs)
        return judged(about, lambda: differences(self._both(run), self.truth, self.where, bounds))

    def _both(self, run: Run) -> Found:
        outputs = run(self.inputs, self.memory)
        return outputs, named_gradients(outputs, self.inputs.leaves, self.starts)


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
    operator: str, passed: str, samples: Mapping[str, Sequence[Sequence[float]]], first: Mapping[str, float]
) -> list[Timing]:
    summaries = {name: summary([sum(phases) for phases in rounds]) for name, rounds in samples.items()}
    eager = summaries.get(EAGER, (torch.nan,))[0]
    return [
        Timing(operator, passed, name, *found, len(samples[name]), first[name], eager / found[0])
        for name, found in summaries.items()
    ]
