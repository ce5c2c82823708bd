"""The phases of a step; CUDA graphs are stood in for by objects that count, since they need no GPU to be counted."""

import contextlib

import torch

from benchmarks import registry
from benchmarks.clocks import CPUClock, CUDAClock
from benchmarks.contenders import Contender, contenders
from benchmarks.steps import CalledSteps, GraphedSteps, steps_of
from benchmarks.workload import Draw

WORKLOAD = registry.select(["gru_gates"])[0].scaled(32)


def make(graphed=False):
    seen = []

    def call(inputs):
        seen.append(torch.is_grad_enabled())
        return WORKLOAD.eager(inputs)

    sets = [WORKLOAD.inputs(Draw(torch.float32, torch.device("cpu")))]
    return steps_of(WORKLOAD, Contender("eager", call, graphed=graphed), sets), seen


def test_inference_runs_without_gradients_and_training_with():
    steps, seen = make()
    assert isinstance(steps, CalledSteps)
    (forward,) = steps.inference(0)
    output = forward()[0]
    assert seen == [False] and not output.requires_grad
    phases = steps.training(0)
    assert len(phases) == 2
    for phase in phases:
        phase()
    assert seen[1:] and all(seen[1:])


class FakeGraph:
    made = 0

    def __init__(self):
        FakeGraph.made += 1
        self.replayed = 0

    def pool(self):
        return "pool"

    def replay(self):
        self.replayed += 1


class FakeStream:
    def wait_stream(self, other):
        pass


def test_graphs_are_captured_once_for_each_phase_and_replayed(monkeypatch):
    pools = []

    @contextlib.contextmanager
    def graph(graph, pool):
        pools.append(pool)
        yield

    for name, fake in (("CUDAGraph", FakeGraph), ("graph", graph), ("Stream", FakeStream)):
        monkeypatch.setattr(torch.cuda, name, fake)
    monkeypatch.setattr(torch.cuda, "current_stream", FakeStream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())
    monkeypatch.setattr(FakeGraph, "made", 0)
    steps, seen = make(graphed=True)
    assert isinstance(steps, GraphedSteps)
    for _ in range(3):
        for phase in steps.training(0):
            phase()
    assert FakeGraph.made == 2
    assert pools == [None, "pool"]
    assert [graph.replayed for graph in steps.captured["training", 0]] == [3, 3]
    assert all(seen)


def test_graphs_compete_on_cuda_only():
    on_cpu = contenders(WORKLOAD, torch.device("cpu"), ["eager", "cudagraph"], ["reference"])
    assert [contender.name for contender in on_cpu] == ["eager", "reference"]
    on_cuda = contenders(WORKLOAD, torch.device("cuda"), ["eager", "cudagraph"], ["triton"])
    assert [(c.name, c.graphed) for c in on_cuda] == [
        ("eager", False), ("cudagraph", True), ("triton", False), ("triton+cudagraph", True),
    ]  # fmt: skip


def test_cpu_clock_times_each_phase_and_sees_memory_that_was_held_for_a_moment():
    clock = CPUClock()
    assert len(clock.seconds([lambda: None, lambda: None])) == 2
    assert all(second >= 0 for second in clock.seconds([lambda: None]))
    peak = clock.peak_mib(lambda: torch.ones(8 * 2**20).sum())
    assert 30 < peak < 40


def test_cuda_clock_flushes_the_cache_and_reads_an_event_after_each_phase(monkeypatch):
    log = []

    class FakeEvent:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            log.append("event")

        def synchronize(self):
            log.append("synchronize")

        def elapsed_time(self, other):
            return 2.0

    class Flush:
        def zero_(self):
            log.append("flush")

    monkeypatch.setattr(torch.cuda, "Event", FakeEvent)
    clock = CUDAClock.__new__(CUDAClock)
    clock.flush = Flush()
    seconds = clock.seconds([lambda: log.append("a"), lambda: log.append("b")])
    assert seconds == [0.002, 0.002]
    assert log == ["flush", "event", "a", "event", "b", "event", "synchronize"]
