import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import seq2seq_fast
from seq2seq_fast.ops.backends import raw
from seq2seq_fast.ops.recurrent_sequence import BACKENDS, recurrent_sequence
from tests.support.cases import GATES, SIZES, sequence_tensors
from tests.support.engines import DTYPES, dtype_name
from tests.support.truth import assert_near, double, gradients

HERE = [backend for backend in BACKENDS if seq2seq_fast.backends()[backend].usable]
FUSED = [backend for backend in HERE if backend != "reference"]
NAMES = ("inputs", "state", "cell_state", "weight_ih", "weight_hh", "bias_ih", "bias_hh")


def run(tensors, options, backend):
    inputs, state, cell_state, *parameters = tensors
    state = state if cell_state is None else (state, cell_state)
    outputs, final = recurrent_sequence(inputs, state, *parameters, **options, backend=backend)
    return [outputs, *(final if cell_state is not None else (final,))]


def assert_true(tensors, options, backend, error, roundings=12):
    found, grads = gradients(lambda *t: run(t, options, backend), tensors)
    mask = options.get("state_mask")
    wide = options | {"state_mask": None if mask is None else mask.double()}
    truth, true_grads = gradients(lambda *t: run(t, wide, "reference"), double(tensors))
    for name, a, b in zip(("states", "final state", "final cell"), found, truth, strict=False):
        assert_near(a, b, error=error, roundings=roundings, name=name)
    names = [name for name, t in zip(NAMES, tensors, strict=True) if t is not None]
    for name, a, b in zip(names, grads, true_grads, strict=True):
        assert_near(a, b, error=4 * error, roundings=2 * roundings, name=f"gradient of {name}")


@pytest.mark.parametrize("backend", HERE)
@pytest.mark.parametrize("dtype", DTYPES, ids=dtype_name)
@given(data=st.data())
def test_outputs_and_all_gradients_match_float64_truth(backend, dtype, data):
    cell, batch, positions = (
        data.draw(st.sampled_from(sorted(GATES))),
        data.draw(st.integers(0, 4)),
        data.draw(st.sampled_from((0, 1, 5))),
    )
    size = data.draw(st.sampled_from(SIZES))
    tensors = sequence_tensors(
        cell, batch, positions, data.draw(st.sampled_from((1, 3, 8))), size, bias=data.draw(st.booleans()),
        dtype=dtype, seed=data.draw(st.integers(0, 99)), scale=data.draw(st.sampled_from((0.3, 1.0))),
    )  # fmt: skip
    lengths = data.draw(st.none() | st.lists(st.integers(0, positions), min_size=batch, max_size=batch))
    options = {
        "cell": cell, "reset_after": data.draw(st.booleans()), "reverse": data.draw(st.booleans()),
        "lengths": None if lengths is None else torch.tensor(lengths, dtype=torch.int64),
        "state_mask": (torch.rand(batch, size) * 2).to(dtype) if data.draw(st.booleans()) else None,
    }  # fmt: skip
    assert_true(tensors, options, backend, error=1e-12 if dtype == torch.float64 else 3e-5)


@pytest.mark.parametrize("backend", FUSED)
@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("reset_after", [True, False])
def test_batches_beyond_one_block_of_unequal_lengths_match_truth(backend, cell, reset_after, poisoned):
    tensors = sequence_tensors(cell, 67, 6, 20, 33, scale=0.5)
    lengths = torch.arange(67) * 5 % 7
    assert_true(tensors, {"cell": cell, "reset_after": reset_after, "lengths": lengths}, backend, error=3e-5)


@pytest.mark.parametrize("backend", HERE)
@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("reset_after", [True, False])
def test_first_and_second_derivatives_pass_gradcheck(backend, cell, reset_after):
    tensors = sequence_tensors(cell, 2, 3, 2, 2, dtype=torch.float64)
    there = [t for t in tensors if t is not None]
    options = {"cell": cell, "reset_after": reset_after, "lengths": torch.tensor([3, 1]), "reverse": True}

    def function(*given):
        given = iter(given)
        return tuple(run([None if t is None else next(given) for t in tensors], options, backend))

    assert torch.autograd.gradcheck(function, there)
    assert torch.autograd.gradgradcheck(function, there)


@pytest.mark.parametrize("backend", HERE)
def test_nothing_in_padding_reaches_a_result_or_a_gradient(backend):
    tensors = sequence_tensors("gru", 3, 4, 5, 6)
    lengths = torch.tensor([4, 0, 2])
    padding = torch.arange(4) >= lengths[:, None]
    clean, _ = gradients(lambda *t: run(t, {"lengths": lengths}, backend), tensors)
    with torch.no_grad():
        tensors[0][padding] = torch.nan
    found, grads = gradients(lambda *t: run(t, {"lengths": lengths}, backend), tensors)
    assert all(torch.equal(a, b) for a, b in zip(found, clean, strict=True))
    assert all(bool(grad.isfinite().all()) for grad in grads) and bool((grads[0][padding] == 0).all())


@pytest.mark.parametrize("backend", FUSED)
def test_the_same_inputs_give_the_same_bits_on_any_number_of_threads(backend):
    tensors, threads, results = sequence_tensors("lstm", 37, 5, 8, 24), torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            results.append(run(tensors, {"cell": "lstm", "lengths": torch.arange(37) % 6}, backend))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("backend", HERE)
def test_any_subset_of_gradients_can_be_asked_for(backend):
    tensors = sequence_tensors("lstm", 2, 3, 4, 5)
    _, every = gradients(lambda *t: run(t, {"cell": "lstm"}, backend), tensors)
    for i in range(len(tensors)):
        some = [t.detach().requires_grad_(i == j) for j, t in enumerate(tensors)]
        _, (grad,) = gradients(lambda *t: run(t, {"cell": "lstm"}, backend), some)
        torch.testing.assert_close(grad, every[i])


def test_wrong_arguments_are_named():
    inputs, state, _, weight_ih, weight_hh, *_ = sequence_tensors("gru", 2, 3, 4, 5)
    with pytest.raises(ValueError, match=r"weight_hh must be \[G H, H\]"):
        recurrent_sequence(inputs, state, weight_ih, weight_hh[:3])
    with pytest.raises(ValueError, match="lengths must lie between 0 and"):
        recurrent_sequence(inputs, state, weight_ih, weight_hh, lengths=torch.tensor([4, 1]))
    with pytest.raises(TypeError, match="state must be the pair"):
        recurrent_sequence(inputs, state, weight_ih, weight_hh, cell="lstm")
    with pytest.raises(TypeError, match="weight_ih must have the dtype"):
        recurrent_sequence(inputs, state, weight_ih.double(), weight_hh)
    with pytest.raises(ValueError, match="state_mask is a constant"):
        recurrent_sequence(inputs, state, weight_ih, weight_hh, state_mask=torch.ones(2, 5, requires_grad=True))
    with pytest.raises(TypeError, match="inputs must be a dense tensor"):
        recurrent_sequence(inputs.detach().to_sparse(), state, weight_ih, weight_hh)


@pytest.mark.parametrize("backend", HERE)
def test_a_backward_pass_inside_autocast_keeps_the_forward_passs_dtype(backend):
    tensors = sequence_tensors("gru", 3, 4, 5, 6)
    outputs = run(tensors, {}, backend)[0]
    wanted = torch.autograd.grad(outputs.sum(), tensors[3:5], retain_graph=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = torch.autograd.grad(outputs.sum(), tensors[3:5])
    if backend != "reference":
        assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize("backend", FUSED)
@pytest.mark.parametrize("name", ["packed", "cells", "activations"])
def test_what_backward_saved_is_checked_by_the_raw_operator(backend, name):
    inputs, state, cell_state, *parameters = (t.detach() for t in sequence_tensors("lstm", 3, 4, 5, 6))
    arguments = (inputs, state, cell_state, *parameters, None, None, False, "lstm", True)
    _, _, _, *saved = raw(backend).recurrent_sequence_forward(*arguments)
    place = ["packed", "cells", "activations"].index(name)
    for wrong in (saved[place][:3], saved[place].double()):
        given = [wrong if i == place else t for i, t in enumerate(saved)]
        with pytest.raises(RuntimeError, match=f"{name} must be"):
            raw(backend).recurrent_sequence_backward(torch.ones(3, 4, 6), None, None, *arguments, *given, [True] * 7)
