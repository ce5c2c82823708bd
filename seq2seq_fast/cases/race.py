"""Contenders on one case of an operator: who they are, whether they are right, and what is timed of them."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

import seq2seq_fast
from seq2seq_fast.cases.clock import Phase, captured, first_call_seconds
from seq2seq_fast.cases.comparison import Comparison
from seq2seq_fast.cases.evaluate import Found, Run, differences, named_gradients, on, projections, truth
from seq2seq_fast.cases.operator import Case, Draw, Inputs, Operator, Outputs
from seq2seq_fast.ops import AttentionMemory

BASELINES = ("eager", "compile", "cudagraph")
INFERENCE, TRAINING = "inference", "training"


@dataclass(frozen=True)
class Contender:
    """Someone to time.

    Attributes:
        name: a baseline, a backend, or "backend+cudagraph".
        run: inputs and memory to outputs.
        is_baseline: it does not use this package's fused backends.
        graphed: replay it from CUDA graphs captured for each set of inputs.
    """

    name: str
    run: Run
    is_baseline: bool = False
    graphed: bool = False


def usable_backends(device: torch.device, dtype: torch.dtype) -> list[str]:
    """The fused backends that serve such tensors here; the reference where there is none."""
    tensor = torch.empty(0, dtype=dtype, device=device)
    served = [name for name, status in seq2seq_fast.backends().items() if status.usable and not status.why_not(tensor)]
    return [name for name in served if name != "reference"] or ["reference"]


def contenders(
    operator: Operator, device: torch.device, baselines: Sequence[str], backends: Sequence[str]
) -> list[Contender]:
    """The baselines that can run on this device, then the backends (on CUDA under graphs too)."""
    on_cuda = device.type == "cuda"
    wanted = [name for name in baselines if name in operator.baselines and (on_cuda or name != "cudagraph")]
    eager: Run = lambda inputs, memory: operator.eager(inputs)  # noqa: E731
    makers: dict[str, Callable[[], Contender]] = {
        "eager": lambda: Contender("eager", eager, is_baseline=True),
        "compile": lambda: Contender("compile", _compiled(operator), is_baseline=True),
        "cudagraph": lambda: _graphed(operator, "cudagraph", eager, is_baseline=True),
    }
    found = [makers[name]() for name in wanted]
    for name in backends:
        found.append(Contender(name, on(operator, name)))
        if "cudagraph" in wanted:
            found.append(_graphed(operator, f"{name}+cudagraph", on(operator, name)))
    return found


def _graphed(operator: Operator, name: str, run: Run, *, is_baseline: bool = False) -> Contender:
    replayed = operator.replayed(run)
    return Contender(name, replayed or run, is_baseline, graphed=replayed is None)


def _compiled(operator: Operator) -> Run:
    torch._dynamo.reset()
    compiled = operator.compiled()
    return lambda inputs, memory: compiled(inputs)


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


class Course:
    """An operator's inputs at one case, in as many sets as are to be rotated, and what is called on them."""

    def __init__(self, operator: Operator, case: Case, draw: Draw):
        self.operator, self.case, self.draw = operator, case, draw
        self.sets = [self._set()]
        self.starts: dict[int, list[Tensor]] = {}

    def _set(self) -> tuple[Inputs, AttentionMemory | None]:
        inputs = self.operator.inputs(self.case, self.draw)
        if self.operator.differentiable:
            inputs = inputs.requiring_gradients()
        with torch.no_grad():
            # Without lengths and masks a memory holds the very keys and values that gradients are taken for.
            return inputs, self.operator.prepare(inputs)

    def add_sets(self, wanted: int) -> None:
        self.sets += [self._set() for _ in range(wanted - len(self.sets))]

    def truth(self) -> Found:
        """On the device that is timed: on the CPU it would take minutes."""
        return truth(self.operator, self.sets[0][0], device=self.draw.device)

    def phases(self, run: Run, mode: str, turn: int) -> list[Phase]:
        """What is timed on one of the sets: forward without gradients, or forward and then backward."""
        index = turn % len(self.sets)
        inputs, memory = self.sets[index]
        held: Outputs = {}

        def infer() -> Outputs:
            with torch.no_grad():
                return run(inputs, memory)

        def forward() -> None:
            held.update(run(inputs, memory))

        def backward() -> None:
            found = named_gradients(held, inputs.leaves, self.starts[index])
            held.clear()
            self.operator.after_backward(inputs, found)

        if mode == INFERENCE:
            return [infer]
        if index not in self.starts:
            self.starts[index] = projections(list(run(inputs, memory).values()))
        return [forward, backward]

    def both(self, run: Run, mode: str) -> Found:
        """Outputs and, in training, gradients on the first set."""
        inputs, memory = self.sets[0]
        with torch.set_grad_enabled(mode == TRAINING):
            outputs = run(inputs, memory)
            if mode == INFERENCE:
                return outputs, {}
            return outputs, named_gradients(outputs, inputs.leaves, projections(list(outputs.values())))

    def examined(self, rival: Contender, found: Found, true: Found) -> list[Comparison]:
        """A baseline in 16 bits rounds after every operation: its check says that it computes the same thing."""
        bounds = self.operator.bounds(self.sets[0][0])
        if rival.is_baseline and self.draw.dtype.itemsize == 2:
            bounds = bounds[0].at_least(0.05), bounds[1].at_least(0.05 * 4)
        return list(differences(found, true if found[1] else (true[0], {}), str(self.case), bounds))


@dataclass
class Qualified:
    """Those that are right and can run, by name, ready to be timed; what was found on the way.

    Attributes:
        phases: for a mode and the number of a round, what to time.
        first_call_seconds: by contender and mode, compiling included.
        compared: every tensor beside its truth.
        failures: contenders that are wrong or could not run, and why.
        outputs: the truth's.
    """

    outputs: Outputs
    phases: dict[str, Callable[[str, int], list[Phase]]] = field(default_factory=dict)
    first_call_seconds: dict[str, dict[str, float]] = field(default_factory=dict)
    compared: dict[str, list[Comparison]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


def qualify(
    course: Course,
    rivals: Sequence[Contender],
    modes: Sequence[str],
    progress: Callable[[str], None] = lambda text: None,
) -> Qualified:
    """Nothing is timed before its results agree with the truth within the bounds of its operator."""
    progress("truth in float64")
    true = course.truth()
    found = Qualified(true[0])
    for rival in rivals:
        progress(f"{'compiling' if rival.name == 'compile' else 'checking'} {rival.name}")
        taken: dict[str, float] = {}
        compared = found.compared[rival.name] = []
        try:
            for mode in modes:
                results: list[Found] = []
                with uncached_compiler() if rival.name == "compile" else nullcontext():
                    call = partial(_append, results, partial(course.both, rival.run, mode))
                    taken[mode] = first_call_seconds(call, course.draw.device)
                compared += course.examined(rival, results[0], true)
            wrong = [comparison for comparison in compared if not comparison.passed]
            if wrong:
                found.failures[rival.name] = f"wrong: {told(wrong)}"
                continue
        except Exception as error:  # a baseline that cannot be compiled here must not stop the others
            found.failures[rival.name] = one_line(error)
            continue
        found.first_call_seconds[rival.name] = taken
        found.phases[rival.name] = partial(course.phases, rival.run)
    # Graphs are captured after all checks: a captured training step moves the weights that the checks are made on.
    for rival in rivals:
        if rival.graphed and rival.name in found.phases:
            _capture(course, rival, modes, found)
    return found


def _append(results: list[Found], call: Callable[[], Found]) -> None:
    results.append(call())


def _capture(course: Course, rival: Contender, modes: Sequence[str], found: Qualified) -> None:
    """Replays in place of calls; the rival is left out where its capture fails, as of what reads on the host."""
    graphs: dict[tuple[str, int], list[torch.cuda.CUDAGraph]] = {}

    def replays(mode: str, turn: int) -> list[Phase]:
        key = mode, turn % len(course.sets)
        if key not in graphs:
            graphs[key] = captured(lambda: course.phases(rival.run, mode, turn))
        return [graph.replay for graph in graphs[key]]

    try:
        for mode in modes:
            run = partial(run_all, partial(replays, mode, 0))
            found.first_call_seconds[rival.name][mode] = first_call_seconds(run, course.draw.device)
        found.phases[rival.name] = replays
    except Exception as error:
        del found.phases[rival.name]
        found.failures[rival.name] = one_line(error)


def run_all(phases: Callable[[], Sequence[Phase]]) -> None:
    for phase in phases():
        phase()


def told(wrong: Sequence[Comparison], most: int = 3) -> str:
    """What is wrong with the first of them."""
    more = f"; and {len(wrong) - most} more" if len(wrong) > most else ""
    return "; ".join(comparison.explanation for comparison in wrong[:most]) + more


def one_line(error: BaseException, width: int = 200) -> str:
    """An exception as one line: its type and the first line of its message that says something, cut if long."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return text if len(text) <= width else f"{text[: width - 4]} ..."
