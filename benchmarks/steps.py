"""What is timed of a contender: an inference step, and a training step in its two phases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from benchmarks.check import differentiable, output_gradients
from benchmarks.clocks import Phase
from benchmarks.contenders import Contender
from benchmarks.workload import Inputs, LimitRun, Outputs, Workload


class Steps(Protocol):
    """Phases to run in order on one of the sets of inputs."""

    def inference(self, index: int) -> list[Phase]:
        """Forward without gradients."""

    def training(self, index: int) -> list[Phase]:
        """Forward, then backward."""


class CalledSteps:
    """A contender called from Python."""

    def __init__(self, workload: Workload, contender: Contender, sets: Sequence[Inputs]):
        self.workload, self.contender, self.sets = workload, contender, sets
        self.gradients: dict[int, list[Tensor]] = {}

    def inference(self, index: int) -> list[Phase]:
        inputs = self.sets[index]

        def forward() -> Outputs:
            with torch.no_grad():
                return self.contender.call(inputs)

        return [forward]

    def training(self, index: int) -> list[Phase]:
        inputs, leaves = self.sets[index], self.workload.leaves(self.sets[index])
        if index not in self.gradients:
            self.gradients[index] = output_gradients(self.contender.call(inputs))
        outputs: list[Tensor] = []

        def forward() -> None:
            outputs.extend(differentiable(self.contender.call(inputs)))

        def backward() -> None:
            grads = torch.autograd.grad(outputs, leaves, self.gradients[index])
            outputs.clear()
            if self.workload.after_backward is not None:
                self.workload.after_backward(inputs, grads)

        return [forward, backward]


class GraphedSteps:
    """A contender captured in CUDA graphs, one for each phase and set of inputs, and replayed."""

    def __init__(self, workload: Workload, contender: Contender, sets: Sequence[Inputs]):
        self.called = CalledSteps(workload, contender, sets)
        self.captured: dict[tuple[str, int], list[torch.cuda.CUDAGraph]] = {}

    def inference(self, index: int) -> list[Phase]:
        return self._replays("inference", index)

    def training(self, index: int) -> list[Phase]:
        return self._replays("training", index)

    def _replays(self, mode: str, index: int) -> list[Phase]:
        key = (mode, index)
        if key not in self.captured:
            self.captured[key] = _capture(getattr(self.called, mode), index)
        return [graph.replay for graph in self.captured[key]]


def _capture(phases_of, index: int) -> list[torch.cuda.CUDAGraph]:
    # Libraries make their handles and workspaces on first use, which a capture forbids: run a few times beside it.
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            for phase in phases_of(index):
                phase()
    torch.cuda.current_stream().wait_stream(stream)
    graphs: list[torch.cuda.CUDAGraph] = []
    for phase in phases_of(index):
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=graphs[0].pool() if graphs else None):
            phase()
        graphs.append(graph)
    return graphs


class LimitSteps:
    """The workload's limit, timed as the contenders are."""

    def __init__(self, limit: LimitRun):
        self.limit = limit

    def inference(self, index: int) -> list[Phase]:
        return [self.limit.forward]

    def training(self, index: int) -> list[Phase]:
        return [self.limit.training_forward, self.limit.backward]


def steps_of(workload: Workload, contender: Contender, sets: Sequence[Inputs]) -> Steps:
    kind = GraphedSteps if contender.graphed else CalledSteps
    return kind(workload, contender, sets)
