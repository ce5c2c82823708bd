"""The phases of a step; CUDA graphs are stood in for by objects that count, since they need no GPU to be counted."""

import contextlib

import torch

from seq2seq_fast.cases import BY_NAME, Draw, race
from seq2seq_fast.cases.race import Contender, Course, qualify

GATES = BY_NAME["gru_gates"]
MODES = ("inference", "training")


def course():
    return Course(GATES, GATES.degenerate(), Draw(torch.float32, torch.device("cpu")))


def watched():
    seen = []

    def run(inputs, memory):
        seen.append(torch.is_grad_enabled())
        return GATES.eager(inputs)

    return run, seen


def test_inference_runs_without_gradients_and_training_with():
    run, seen = watched()
    (forward,) = course().phases(run, "inference", 0)
    assert not forward()["hidden"].requires_grad and seen == [False]
    phases = course().phases(run, "training", 0)
    assert len(phases) == 2
    for phase in phases:
        phase()
    assert seen[1:] and all(seen[1:])


def test_rounds_rotate_the_sets_of_inputs():
    here, seen = course(), []
    here.add_sets(3)
    for turn in range(4):
        here.phases(lambda inputs, memory: seen.append(id(inputs)), "inference", turn)[0]()
    assert len(set(seen[:3])) == 3 and seen[3] == seen[0]


def test_graphs_are_captured_once_for_each_mode_and_set_and_replayed(monkeypatch):
    replayed, captures = [], []

    class Graph:
        def __init__(self, phase):
            self.replay = lambda: replayed.append(phase)

    def captured(phases_of):
        captures.append(phases_of())
        return [Graph(phase) for phase in captures[-1]]

    monkeypatch.setattr(race, "captured", captured)
    run, _ = watched()
    found = qualify(course(), [Contender("eager+cudagraph", run, graphed=True)], MODES)
    for _ in range(3):
        for phase in found.phases["eager+cudagraph"]("training", 0):
            phase()
    assert [len(phases) for phases in captures] == [1, 2]
    assert replayed == captures[0] + 4 * captures[1]
    assert set(found.first_call_seconds["eager+cudagraph"]) == set(MODES)


def test_a_capture_that_fails_leaves_its_contender_out_with_the_reason(monkeypatch):
    def captured(phases_of):
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    monkeypatch.setattr(race, "captured", captured)
    run, _ = watched()
    found = qualify(course(), [Contender("graph", run, graphed=True), Contender("eager", run)], MODES)
    assert list(found.phases) == ["eager"]
    assert found.failures == {"graph": "RuntimeError: operation not permitted when stream is capturing"}


def test_what_raises_is_told_in_one_line_and_leaves_the_others_alone():
    def fails(inputs, memory):
        raise RuntimeError("\nno compiler\n and more")

    run, _ = watched()
    found = qualify(course(), [Contender("compile", fails), Contender("eager", run)], MODES)
    assert found.failures == {"compile": "RuntimeError: no compiler"} and list(found.phases) == ["eager"]


def test_a_capture_warms_up_beside_the_stream_and_shares_one_pool(monkeypatch):
    pools, ran = [], []

    class Graph:
        def pool(self):
            return "pool"

    class Stream:
        def wait_stream(self, other):
            pass

    @contextlib.contextmanager
    def graph(graph, pool):
        pools.append(pool)
        yield

    for name, fake in (("CUDAGraph", Graph), ("graph", graph), ("Stream", Stream), ("current_stream", Stream)):
        monkeypatch.setattr(torch.cuda, name, fake)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())
    assert len(race.captured(lambda: [lambda: ran.append("a"), lambda: ran.append("b")])) == 2
    assert pools == [None, "pool"] and ran == ["a", "b"] * 4
