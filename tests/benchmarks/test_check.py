import pytest
import torch

from benchmarks import registry
from benchmarks.check import CheckFailed, check, results_of, truth
from benchmarks.contenders import Contender, contenders, usable_backends
from benchmarks.workload import Draw

CPU = torch.device("cpu")
WORKLOADS = {workload.name: workload.scaled(16) for workload in registry.WORKLOADS}


def checked(workload, contender, dtype=torch.float32, gradients=True):
    made = workload.make_inputs(workload.sizes, Draw(dtype, CPU))
    expected = truth(workload, made, gradients)
    inputs = workload.prepared(made)
    check(workload, contender, inputs, results_of(workload, contender.call, inputs, gradients), expected)


@pytest.mark.parametrize("name", WORKLOADS)
def test_eager_and_every_backend_compute_what_the_reference_computes(name):
    workload = WORKLOADS[name]
    backends = usable_backends(CPU, torch.float32)
    for contender in contenders(workload, CPU, ["eager"], [*backends, "reference"]):
        checked(workload, contender, gradients=bool(workload.wanted))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    "name",
    ["attend/80x50x1024x2048", "gru_cell/80x512x1024", "attention_decoder/80x15x15", "training_step/multi30k"],
)
def test_other_dtypes_are_within_their_bounds(name, dtype):
    checked(WORKLOADS[name], contenders(WORKLOADS[name], CPU, [], ["reference"])[0], dtype)


def broken(workload, spoil):
    return Contender("broken", lambda inputs: spoil(workload.run(inputs, "reference")))


class _GradientSpoiled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, tensor):
        return tensor.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad * 1.001


SPOILS = {
    "scaled": lambda outputs: tuple(output * 1.001 for output in outputs),
    "zero": lambda outputs: tuple(output * 0 for output in outputs),
    "nan": lambda outputs: tuple(output + torch.nan for output in outputs),
    "another shape": lambda outputs: tuple(output[:1] for output in outputs),
    "missing": lambda outputs: outputs[:1],
    "wrong gradient": lambda outputs: tuple(_GradientSpoiled.apply(output) for output in outputs),
}


@pytest.mark.parametrize("spoil", SPOILS)
def test_a_wrong_backend_fails(spoil):
    workload = WORKLOADS["attend/80x50x1024x2048"]
    with pytest.raises(CheckFailed, match="broken"):
        checked(workload, broken(workload, SPOILS[spoil]))


def test_a_baseline_in_16_bits_may_round_but_not_compute_something_else():
    workload = WORKLOADS["attend/80x50x1024x2048"]
    checked(workload, Contender("eager", workload.eager, is_baseline=True), torch.bfloat16)
    doubled = Contender("eager", lambda inputs: tuple(2 * o for o in workload.eager(inputs)), is_baseline=True)
    with pytest.raises(CheckFailed):
        checked(workload, doubled, torch.bfloat16)
