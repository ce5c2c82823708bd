import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seq2seq_fast import lstm_cell
from tests.ops.test_gru_cell import cell_inputs
from tests.support.cases import SIZES, misplaced
from tests.support.engines import DTYPES, ENGINES, FUSED, dtype_name
from tests.support.truth import assert_near, double, gradients


def lstm_inputs(*shape, **options):
    input, hidden, *rest = cell_inputs(*shape, 4, **options)
    return [input, hidden, (hidden.detach() * 0.7 - 0.2).requires_grad_(), *rest]


def lstm(backend):
    return lambda input, hidden, cell, *rest: lstm_cell(input, (hidden, cell), *rest, backend=backend)


@pytest.mark.parametrize("engine", ENGINES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=dtype_name)
@given(data=st.data())
def test_forward_and_gradients_match_float64_truth(engine, dtype, data):
    if engine.lacks(dtype):
        return
    size = st.sampled_from(SIZES)
    inputs = lstm_inputs(
        data.draw(st.integers(0, 5)), data.draw(size), data.draw(size), dtype=dtype, device=engine.device,
        biases=data.draw(st.booleans()),
    )  # fmt: skip
    assert_true(inputs, engine)


def assert_true(inputs, engine):
    dtype = inputs[0].dtype
    found, grads = gradients(lstm(engine.backend), inputs)
    truth, true_grads = gradients(lstm("reference"), double(inputs))
    error = 1e-6 if dtype != torch.float64 else 1e-14
    for name, a, b in zip(("hidden", "cell"), found, truth, strict=True):
        assert_near(a, b, error=error, roundings=4, name=name)
    names = ("input", "hidden", "cell", "weight_ih", "weight_hh", "bias_ih", "bias_hh")
    for name, a, b in zip(names, grads, true_grads, strict=False):
        assert_near(a, b, error=5 * error, roundings=8, name=f"gradient of {name}")


@pytest.mark.parametrize("engine", FUSED, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=dtype_name)
def test_tensors_at_any_address_match_truth(engine, dtype):
    inputs = lstm_inputs(3, 8, 16, dtype=dtype, device=engine.device)
    assert_true([misplaced(t) for t in inputs], engine)


@pytest.mark.parametrize("engine", ENGINES, ids=str)
def test_it_is_pytorchs_cell(engine):
    torch_cell = torch.nn.LSTMCell(5, 7).to(engine.device)
    input, *state = (torch.randn(3, n, device=engine.device) for n in (5, 7, 7))
    parameters = (torch_cell.weight_ih, torch_cell.weight_hh, torch_cell.bias_ih, torch_cell.bias_hh)
    found = lstm_cell(input, tuple(state), *parameters, backend=engine.backend)
    for a, b in zip(found, torch_cell(input, tuple(state)), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("engine", [e for e in ENGINES if e.serves(torch.float64)], ids=str)
def test_gradcheck_and_gradgradcheck(engine):
    inputs = lstm_inputs(2, 3, 2, dtype=torch.float64, device=engine.device)
    assert torch.autograd.gradcheck(lstm(engine.backend), inputs)
    assert torch.autograd.gradgradcheck(lstm(engine.backend), inputs)


@pytest.mark.parametrize("engine", ENGINES, ids=str)
@pytest.mark.parametrize("used", [0, 1])
def test_one_output_alone_can_be_differentiated(engine, used):
    inputs = lstm_inputs(2, 3, 9, device=engine.device)
    _, found = gradients(lambda *x: [lstm(engine.backend)(*x)[used]], inputs)
    _, truth = gradients(lambda *x: [lstm("reference")(*x)[used]], double(inputs))
    for a, b in zip(found, truth, strict=True):
        assert_near(a, b, error=5e-6, roundings=4)


@pytest.mark.parametrize("engine", ENGINES, ids=str)
def test_autocast_carries_a_float32_state(engine):
    inputs = lstm_inputs(3, 4, 5, device=engine.device)
    with torch.autocast(engine.device, dtype=torch.bfloat16):
        hidden, cell = lstm(engine.backend)(*inputs)
    assert hidden.dtype == cell.dtype == torch.float32
    truth = lstm("reference")(*double(inputs))
    assert_near(cell, truth[1], error=0.03)
    (hidden.sum() + cell.sum()).backward()
    assert all(t.grad.dtype == torch.float32 for t in inputs)


@pytest.mark.parametrize("state", [torch.zeros(2, 5), (torch.zeros(2, 5),)])
def test_a_state_that_is_no_pair_is_named(state):
    with pytest.raises(TypeError, match=r"state must be the pair \(hidden, cell\)"):
        lstm_cell(torch.zeros(2, 4), state, torch.zeros(20, 4), torch.zeros(20, 5))
