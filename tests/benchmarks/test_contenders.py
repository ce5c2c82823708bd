"""Who runs a workload on a GPU, which is asked without one."""

import pytest
import torch

from benchmarks.contenders import contenders
from benchmarks.registry import select
from benchmarks.workload import BASELINES, Draw
from benchmarks.workloads import model
from seq2seq_fast.decoding.search_step import EAGER_STEPS

CUDA = torch.device("cuda")


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
    rivals = {rival.name: rival for rival in contenders(workload, CUDA, BASELINES, ["reference"])}
    assert list(rivals) == ["eager", "cudagraph", "reference", "reference+cudagraph"]
    assert not any(rival.graphed for rival in rivals.values()), "a search cannot be captured whole"
    inputs = workload.inputs(Draw(torch.float32, torch.device("cpu")))
    for name, rival in rivals.items():
        searches.clear()
        first = rival.call(inputs)[0]
        assert searches == ([True] * (EAGER_STEPS + 1) if "cudagraph" in name else [False])
        searches.clear()
        torch.testing.assert_close(rival.call(inputs)[0], first)
        assert searches == ["cudagraph" in name], "after its first call all graphs are there"


def test_an_operator_is_captured_whole():
    rivals = {rival.name: rival for rival in contenders(select(["attend"])[0], CUDA, BASELINES, ["reference"])}
    assert [name for name, rival in rivals.items() if rival.graphed] == ["cudagraph", "reference+cudagraph"]
