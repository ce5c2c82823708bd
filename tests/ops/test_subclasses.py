"""Subclasses of torch.Tensor: served with their gradients, or refused in one line."""

import pytest
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Replicate, distribute_tensor
from torch.testing._internal.two_tensor import TwoTensor

from tests.support.calls import calls, loss
from tests.support.engines import ENGINES

CALLS = calls()
EVERY = [
    pytest.param(engine, name, id=f"{name}-{engine}")
    for engine in ENGINES
    for name, call in CALLS.items()
    if call.served_by(engine)
]


class Marked(torch.Tensor):
    """A subclass that changes nothing."""


def pair(tensor):
    """A subclass that sees every operator: two tensors that take part in everything alike."""
    return TwoTensor(tensor, tensor.clone())


def gradients(call, backend, tensors):
    value = loss(call, backend, tensors)
    return type(value), torch.autograd.grad(value, list(tensors.values()))


@pytest.mark.parametrize("wrap", [lambda t: t.as_subclass(Marked), pair], ids=["subclass", "wrapper"])
@pytest.mark.parametrize(("engine", "name"), EVERY)
def test_a_subclass_is_kept_and_its_gradients_are_those_of_plain_tensors(engine, name, wrap):
    call = calls(device=engine.device)[name]
    given = {n: wrap(t.clone()).requires_grad_() for n, t in call.tensors.items()}
    kind, found = gradients(call, engine.backend, given)
    _, wanted = gradients(call, engine.backend, {n: t.clone().requires_grad_() for n, t in call.tensors.items()})
    assert kind is type(next(iter(given.values())))
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close((a.a if isinstance(a, TwoTensor) else a).as_subclass(torch.Tensor), b)


@pytest.fixture
def mesh():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    dist.destroy_process_group()


@pytest.mark.parametrize("name", CALLS)
def test_a_distributed_tensor_is_refused_in_one_line(mesh, name):
    call = CALLS[name]
    tensors = {n: distribute_tensor(t, mesh, [Replicate()]) for n, t in call.tensors.items()}
    with pytest.raises(TypeError, match=r"^\w+ must be a whole tensor .*DTensor: pass .full_tensor\(\)[^\n]*$"):
        call.run(tensors, "reference")
