"""What was exported or traced trains: every parameter of it gets the gradient that the operator gives it."""

import io

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

from seq2seq_fast.ops.backends import raw
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


# Only these take another way where nothing is recorded.
@pytest.mark.parametrize("name", ["additive_attention-one-query-no-weights", "attention_decoder_step-gru"])
@pytest.mark.parametrize("engine", FUSED, ids=str)
def test_a_program_exported_without_gradients_trains_all_the_same(engine, name):
    model = Model(name, engine)
    with torch.no_grad():
        program = torch.export.export(model, (model.example,)).module()
    found, wanted = gradients(program, model.example), gradients(model, model.example)
    for key, gradient in wanted.items():
        torch.testing.assert_close(found[key], gradient)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize(("engine", "name"), EVERY)
def test_a_saved_trace_trains_with_the_operators_own_gradients(engine, name):
    model, file = Model(name, engine), io.BytesIO()
    torch.jit.save(torch.jit.trace(model, (model.example,)), file)
    file.seek(0)
    assert_trains(torch.jit.load(file), model)


@pytest.mark.parametrize(("engine", "name"), EVERY)
def test_a_graph_of_raw_operators_has_their_gradients(engine, name):
    model = Model(name, engine)
    graph = make_fx(lambda first: model(first))(model.example)
    example = model.example.clone().requires_grad_()
    found, wanted = (torch.autograd.grad(run(example), example) for run in (graph, model))
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)


@pytest.mark.parametrize(("engine", "name"), EVERY)
def test_fake_tensors_go_through_forward_and_backward(engine, name):
    call = CALLS[name]
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        tensors = {n: mode.from_tensor(t).requires_grad_() for n, t in call.tensors.items()}
        loss(call, engine.backend, tensors).backward()
    assert all(t.grad is not None and t.grad.shape == t.shape for t in tensors.values())


@pytest.mark.parametrize("engine", FUSED, ids=str)
def test_a_raw_backward_operator_refuses_to_be_differentiated(engine):
    x = torch.randn(2, 3, device=engine.device, requires_grad=True)
    found = raw(engine.backend).gru_update_backward(x, x, x, x)
    with pytest.raises(NotImplementedError, match="gru_update_backward has no derivative"):
        found[0].sum().backward()


def test_fx_symbolic_tracing_is_refused_in_one_line():
    with pytest.raises(TypeError, match=r"inputs must be a tensor .*Proxy.*torch\.export"):
        torch.fx.symbolic_trace(Model("attention_decoder-gru", FUSED[0]))
