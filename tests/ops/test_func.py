"""The transforms of torch.func, batched gradients and forward mode give what they give of the reference."""

import pytest
import torch
from torch.autograd import forward_ad
from torch.utils.checkpoint import checkpoint

import seq2seq_fast
from tests.support.calls import calls, loss
from tests.support.engines import FUSED

CALLS = calls(torch.float64)
EVERY = [
    pytest.param(engine, name, id=f"{name}-{engine}")
    for engine in FUSED
    for name, call in CALLS.items()
    if call.served_by(engine)
]


def stacked(tensors):
    return {name: torch.stack([t, 0.5 * t, -t]) for name, t in tensors.items()}


def loss_and_grad(value, tensors):
    tensors = {name: t.clone().requires_grad_() for name, t in tensors.items()}
    return torch.autograd.grad(value(tensors), list(tensors.values()))


def grad(value, tensors):
    return torch.func.grad(value)(tensors)


def vmap_over_inputs_and_parameters(value, tensors):
    return torch.vmap(value)(stacked(tensors))


def vmap_over_stacked_parameters_then_backward(value, tensors):
    return loss_and_grad(lambda many: torch.vmap(value)(many).sum(), stacked(tensors))


def gradients_of_each_sample(value, tensors):
    first, *rest = tensors
    parameters = {name: tensors[name] for name in rest}
    per_sample = torch.func.grad(lambda parameters, sample: value({first: sample, **parameters}))
    return torch.vmap(per_sample, (None, 0))(parameters, stacked(tensors)[first])


def jacobian_in_reverse(value, tensors):
    return torch.func.jacrev(lambda t: torch.stack([value(t), value(t).square()]))(tensors)


def jacobian_forward(value, tensors):
    first = next(iter(tensors))
    return torch.func.jacfwd(lambda t: value({**tensors, first: t}))(tensors[first])


def tangents(value, tensors):
    return torch.func.jvp(value, (tensors,), ({name: t.cos() for name, t in tensors.items()},))


def dual_numbers(value, tensors):
    with forward_ad.dual_level():
        duals = {name: forward_ad.make_dual(t, t.cos()) for name, t in tensors.items()}
        return forward_ad.unpack_dual(value(duals)).tangent


def gradient_of_a_gradient(value, tensors):
    def penalty(tensors):
        return torch.stack([g.sin().sum() for g in torch.func.grad(value)(tensors).values()]).sum()

    return torch.func.grad(penalty)(tensors)


def forward_over_reverse(value, tensors):
    first = next(iter(tensors))
    return torch.func.jvp(
        torch.func.grad(lambda t: value({**tensors, first: t})), (tensors[first],), (tensors[first].cos(),)
    )


def batched_gradients(value, tensors):
    tensors = {name: t.clone().requires_grad_() for name, t in tensors.items()}
    outputs = torch.stack([value(tensors), value(tensors).square()])
    directions = torch.tensor([[1.0, 0.5], [-2.0, 1.0], [0.0, 3.0]], dtype=torch.float64)
    return torch.autograd.grad(outputs, list(tensors.values()), directions, is_grads_batched=True)


def checkpointed(value, tensors):
    return loss_and_grad(lambda t: checkpoint(value, t, use_reentrant=False), tensors)


# Second derivatives amplify the rounding of both; first ones agree to what their sums round.
TRANSFORMS = {
    grad: 1, vmap_over_inputs_and_parameters: 1, vmap_over_stacked_parameters_then_backward: 1,
    gradients_of_each_sample: 1, jacobian_in_reverse: 1, batched_gradients: 1, checkpointed: 1, jacobian_forward: 10,
    tangents: 1, dual_numbers: 1, gradient_of_a_gradient: 10, forward_over_reverse: 10,
}  # fmt: skip


def flat(result):
    return torch.cat([t.reshape(-1) for t in torch.utils._pytree.tree_leaves(result)])


@pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda transform: transform.__name__)
@pytest.mark.parametrize(("engine", "name"), EVERY)
def test_a_transform_gives_what_it_gives_of_the_reference(engine, name, transform):
    dtype = torch.float64 if engine.serves(torch.float64) else torch.float32
    call = calls(dtype, engine.device)[name]
    found, wanted = (
        flat(transform(lambda t, backend=backend: loss(call, backend, t), call.tensors))
        for backend in (engine.backend, "reference")
    )
    allowed = 40 * torch.finfo(dtype).eps * TRANSFORMS[transform]
    assert bool(wanted.any())
    assert float((found - wanted).abs().max()) <= allowed * float(wanted.abs().max())


@pytest.mark.parametrize("engine", FUSED, ids=str)
def test_second_derivatives_count_what_follows_from_another_argument_once(engine):
    call = calls(torch.float64 if engine.serves(torch.float64) else torch.float32, engine.device)[
        "additive_attention-queries"
    ]

    def penalty(backend):
        values = call.tensors["values"].clone().requires_grad_()
        keys = torch.cat([values, values.sin()[..., :1]], dim=-1)
        value = loss(call, backend, {**call.tensors, "values": values, "keys": keys, "query": keys[:, :3]})
        (gradient,) = torch.autograd.grad(value, values, create_graph=True)
        return torch.autograd.grad(gradient.square().sum(), values)[0]

    torch.testing.assert_close(penalty(engine.backend), penalty("reference"))


@pytest.mark.parametrize("engine", FUSED, ids=str)
def test_lengths_may_be_mapped_too(engine):
    call = calls(device=engine.device)["additive_attention-one-query"]
    many = stacked(call.tensors)
    lengths = torch.tensor([[5, 2, 0], [1, 5, 3], [2, 2, 2]], device=engine.device)

    def attend(t, lengths):
        return seq2seq_fast.additive_attention(**t, lengths=lengths, backend=engine.backend)[0]

    one_by_one = [attend({n: t[i] for n, t in many.items()}, lengths[i]) for i in range(3)]
    torch.testing.assert_close(torch.vmap(attend)(many, lengths), torch.stack(one_by_one))
