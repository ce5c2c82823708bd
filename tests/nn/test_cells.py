import pytest
import torch

from seq2seq_fast import gru_cell
from seq2seq_fast.nn import GRUCell, LSTMCell, RNNCell
from seq2seq_fast.nn.cell_kinds import make_cell

PAIRS = [(RNNCell, torch.nn.RNNCell), (GRUCell, torch.nn.GRUCell), (LSTMCell, torch.nn.LSTMCell)]


def parts(state):
    return state if isinstance(state, tuple) else (state,)


def close(state, expected):
    for part, expected_part in zip(parts(state), parts(expected), strict=True):
        torch.testing.assert_close(part, expected_part)


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batch", [(), (0,), (3,)])
def test_loads_torchs_state_dict_and_gives_its_numbers(ours, theirs, bias, batch):
    theirs = theirs(5, 7, bias=bias)
    cell = ours(5, 7, bias=bias)
    cell.load_state_dict(theirs.state_dict())
    input, state = torch.randn(*batch, 5), torch.randn(*batch, 7)
    if ours is LSTMCell:
        state = (state, torch.randn(*batch, 7))
    close(cell(input, state), theirs(input, state))
    close(cell(input), theirs(input))
    theirs.load_state_dict(cell.state_dict())


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_the_same_seed_gives_torchs_parameters(ours, theirs):
    torch.manual_seed(3)
    expected = theirs(4, 6).state_dict()
    torch.manual_seed(3)
    cell = ours(4, 6)
    for name, parameter in cell.state_dict().items():
        assert torch.equal(parameter, expected[name])
    assert repr(cell) == repr(theirs(4, 6))


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_gradients_are_torchs(ours, theirs):
    theirs = theirs(5, 7).double()
    cell = ours(5, 7, dtype=torch.float64)
    cell.load_state_dict(theirs.state_dict())
    grads = []
    for module in (cell, theirs):
        input = torch.linspace(-1, 1, 15, dtype=torch.float64).reshape(3, 5).requires_grad_()
        output = parts(module(input))[0]
        grads.append(torch.autograd.grad(output.square().sum(), [input, *module.parameters()]))
    for grad, expected in zip(*grads, strict=True):
        torch.testing.assert_close(grad, expected)


def test_reset_before_the_product_is_the_papers_form():
    cell = GRUCell(5, 7, reset_after=False)
    input, hidden = torch.randn(3, 5), torch.randn(3, 7)
    expected = gru_cell(input, hidden, *cell.parameters(), reset_after=False)
    torch.testing.assert_close(cell(input, hidden), expected)
    assert not torch.allclose(expected, gru_cell(input, hidden, *cell.parameters()))
    assert "reset_after=False" in repr(cell)


@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])
def test_autocast_carries_the_state_in_float32(kind):
    cell, input = make_cell(kind, 5, 7), torch.randn(3, 5)
    exact = parts(cell(input))[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        state = parts(cell(input))[0]
    assert state.dtype == torch.float32
    torch.testing.assert_close(state, exact, atol=0.02, rtol=0.02)


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match=r"input must be \[E\] or \[B, E\]; got shape \(2, 3, 5\)"):
        GRUCell(5, 7)(torch.randn(2, 3, 5))
    with pytest.raises(ValueError, match=r"input must be \[B, E\] = \[2, 5\]; got shape \(2, 4\)"):
        RNNCell(5, 7)(torch.randn(2, 4))
    with pytest.raises(ValueError, match="cell must be one of 'rnn', 'gru', 'lstm'; got 'sru'"):
        make_cell("sru", 5, 7)


@pytest.mark.parametrize("cell", [RNNCell, GRUCell, LSTMCell])
def test_an_unknown_backend_is_named_at_once(cell):
    with pytest.raises(ValueError, match="backend='gpu' is unknown"):
        cell(3, 4, backend="gpu")
