"""Who runs a workload, on a GPU too, which is asked without one, and that what is wrong is not timed."""

import pytest
import torch

from benchmarks.registry import WORKLOADS, select
from benchmarks.workloads import model
from seq2seq_fast.cases import Draw
from seq2seq_fast.cases.race import BASELINES, Contender, Course, contenders, qualify, usable_backends
from seq2seq_fast.decoding.search_step import EAGER_STEPS

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
KEPT = {workload.name: workload.scaled(16) for workload in WORKLOADS if workload.kept}
MODES = ("inference", "training")


def failures(workload, rivals, dtype=torch.float32):
    modes = MODES if workload.operator.differentiable else MODES[:1]
    return qualify(Course(workload.operator, workload.case, Draw(dtype, CPU)), rivals, modes).failures


@pytest.mark.parametrize("name", KEPT)
def test_eager_and_every_backend_compute_what_the_reference_computes(name):
    backends = [*usable_backends(CPU, torch.float32), "reference"]
    assert failures(KEPT[name], contenders(KEPT[name].operator, CPU, ["eager"], backends)) == {}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    "name",
    ["attend/80x50x1024x2048", "gru_cell/80x512x1024", "attention_decoder/80x15x15", "training_step/multi30k"],
)
def test_other_dtypes_are_within_their_bounds(name, dtype):
    assert failures(KEPT[name], contenders(KEPT[name].operator, CPU, ["eager"], ["reference"]), dtype) == {}


class _GradientSpoiled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, tensor):
        return tensor.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad * 1.001


SPOILS = {
    "scaled": lambda tensor: tensor * 1.001,
    "zero": lambda tensor: tensor * 0,
    "nan": lambda tensor: tensor + torch.nan,
    "another shape": lambda tensor: tensor[:1],
    "wrong gradient": _GradientSpoiled.apply,
}


@pytest.mark.parametrize("spoil", SPOILS)
def test_a_wrong_contender_fails(spoil):
    workload = KEPT["attend/80x50x1024x2048"]

    def run(inputs, memory):
        return {name: SPOILS[spoil](tensor) for name, tensor in workload.operator.eager(inputs).items()}

    assert failures(workload, [Contender("broken", run)])["broken"].startswith("wrong: ")


def test_a_contender_without_one_of_the_outputs_fails():
    workload = KEPT["attend/80x50x1024x2048"]
    run = lambda inputs, memory: {"context": workload.operator.eager(inputs)["context"]}  # noqa: E731
    assert failures(workload, [Contender("broken", run)]) == {
        "broken": "ValueError: gave context; wanted context, weights"
    }


def test_a_baseline_in_16_bits_may_round_but_not_compute_something_else():
    workload = KEPT["attend/80x50x1024x2048"]
    eager = workload.operator.eager
    right = Contender("eager", lambda inputs, memory: eager(inputs), is_baseline=True)
    doubled = Contender("doubled", lambda i, memory: {n: 2 * t for n, t in eager(i).items()}, is_baseline=True)
    assert list(failures(workload, [right, doubled], torch.bfloat16)) == ["doubled"]


@pytest.fixture
def searches(monkeypatch):
    """The `graphs` of every beam search that a workload makes."""
    asked, search = [], model.beam_search

    def recorded(*args, graphs, **settings):
        asked.append(graphs)
        return search(*args, graphs=graphs, **settings)

    monkeypatch.setattr(model, "beam_search", recorded)
    return asked


def test_eager_and_ours_translate_with_and_without_graphs_of_their_own(searches):
    workload = select(["translation/beam5"])[0].scaled(20)
    rivals = {rival.name: rival for rival in contenders(workload.operator, CUDA, BASELINES, ["reference"])}
    assert list(rivals) == ["eager", "cudagraph", "reference", "reference+cudagraph"]
    assert not any(rival.graphed for rival in rivals.values()), "a search cannot be captured whole"
    inputs = workload.operator.inputs(workload.case, Draw(torch.float32, CPU))
    for name, rival in rivals.items():
        searches.clear()
        first = rival.run(inputs, None)["scores"]
        assert searches == ([True] * (EAGER_STEPS + 1) if "cudagraph" in name else [False])
        searches.clear()
        torch.testing.assert_close(rival.run(inputs, None)["scores"], first)
        assert searches == ["cudagraph" in name], "after its first call all graphs are there"


def test_an_operator_is_captured_whole_and_on_cuda_only():
    operator = KEPT["attend/80x50x1024x2048"].operator
    rivals = contenders(operator, CUDA, ["eager", "cudagraph"], ["triton"])
    assert [(rival.name, rival.graphed) for rival in rivals] == [
        ("eager", False), ("cudagraph", True), ("triton", False), ("triton+cudagraph", True),
    ]  # fmt: skip
    assert [rival.name for rival in contenders(operator, CPU, ["eager", "cudagraph"], ["cpu"])] == ["eager", "cpu"]
