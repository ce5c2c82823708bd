"""What was exported or traced trains: every parameter of it gets the gradient that the operator gives it."""

import pytest
import torch

from tests.support.calls import calls, loss
from tests.support.engines import FUSED

CALLS = calls()
EVERY = [
    pytest.param(engine, name, id=f"{name}-{engine}")
    for engine in FUSED
    for name, call in CALLS.items()
    if call.served_by(engine)
]


class Model(torch.nn.Module):
    """An operator whose first tensor is the input and whose other tensors are parameters."""

    def __init__(self, name, engine):
        super().__init__()
        self.call, self.backend = calls(device=engine.device)[name], engine.backend
        self.first, *rest = self.call.tensors
        for name in rest:
            self.register_parameter(f"{name}_parameter", torch.nn.Parameter(self.call.tensors[name].clone()))

    @property
    def example(self):
        return self.call.tensors[self.first]

    def forward(self, first):
        parameters = {name.removesuffix("_parameter"): value for name, value in self.named_parameters()}
        return loss(self.call, self.backend, {self.first: first, **parameters})


def gradients(model, example):
    example = example.clone().requires_grad_()
    names, parameters = zip(*sorted(model.named_parameters()), strict=True)
    found = torch.autograd.grad(model(example), [example, *parameters])
    return dict(zip(("input", *names), found, strict=True))


def assert_trains(program, model):
    found, wanted = gradients(program, model.example), gradients(model, model.example)
    for name, gradient in wanted.items():
        assert bool(gradient.any()), name
        torch.testing.assert_close(found[name], gradient, rtol=0, atol=0)


@pytest.mark.parametrize(("engine", "name"), EVERY)
def test_an_exported_program_trains_with_the_operators_own_gradients(engine, name):
    model = Model(name, engine)
    assert_trains(torch.export.export(model, (model.example,)).module(), model)


@pytest.mark.parametrize(("engine", "name"), EVERY)
def test_a_program_exported_without_gradients_trains_all_the_same(engine, name):
    model = Model(name, engine)
    with torch.no_grad():
        program = torch.export.export(model, (model.example,)).module()
    found, wanted = gradients(program, model.example), gradients(model, model.example)
    for key, gradient in wanted.items():
        torch.testing.assert_close(found[key], gradient)
