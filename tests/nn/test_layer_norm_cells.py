"""Cells with layer normalisation."""

import pytest
import torch
from torch.nn.functional import linear

from seq2seq_fast.nn import LayerNormGRUCell, LayerNormLSTMCell, LayerNormRNNCell
from seq2seq_fast.nn.recurrence import run_recurrence

CELLS = [LayerNormRNNCell, LayerNormGRUCell, LayerNormLSTMCell]


def norm(products, gain, bias):
    centred = products - products.mean(1, keepdim=True)
    return gain * centred / (centred.square().mean(1, keepdim=True) + 1e-5).sqrt() + bias


def made(kind, **settings):
    """A cell with gains that are not 1, and a batch."""
    cell = kind(5, 4, dtype=torch.float64, **settings)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.uniform_(-1, 1)
    return cell, torch.randn(3, 5, dtype=torch.float64), torch.randn(3, 4, dtype=torch.float64)


def test_the_gru_of_the_paper_written_out():
    for reset_after in (True, False):
        cell, x, h = made(LayerNormGRUCell, reset_after=reset_after)
        first, last = slice(0, 8), slice(8, 12)
        inputs = [
            norm(linear(x, cell.weight_ih[part]), cell.gain_ih[part], cell.bias_ih[part]) for part in (first, last)
        ]
        r, z = torch.sigmoid(
            inputs[0] + norm(linear(h, cell.weight_hh[first]), cell.gain_hh[first], cell.bias_hh[first])
        ).chunk(2, 1)
        state = h if reset_after else r * h
        candidate = norm(linear(state, cell.weight_hh[last]), cell.gain_hh[last], cell.bias_hh[last])
        n = torch.tanh(inputs[1] + (r * candidate if reset_after else candidate))
        torch.testing.assert_close(cell(x, h), (1 - z) * n + z * h)


def test_the_lstm_of_the_paper_written_out():
    cell, x, h = made(LayerNormLSTMCell)
    c = torch.randn_like(h)
    gates = norm(linear(x, cell.weight_ih), cell.gain_ih, cell.bias_ih)
    i, f, g, o = (gates + norm(linear(h, cell.weight_hh), cell.gain_hh, cell.bias_hh)).chunk(4, 1)
    new = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    hidden = torch.sigmoid(o) * torch.tanh(norm(new, cell.gain_cell, cell.bias_cell))
    torch.testing.assert_close(cell(x, (h, c)), (hidden, new))


def test_the_plain_unit_written_out():
    cell, x, h = made(LayerNormRNNCell)
    expected = norm(linear(x, cell.weight_ih), cell.gain_ih, cell.bias_ih)
    expected = torch.tanh(expected + norm(linear(h, cell.weight_hh), cell.gain_hh, cell.bias_hh))
    torch.testing.assert_close(cell(x, h), expected)


@pytest.mark.parametrize("kind", CELLS)
def test_the_scale_of_input_and_weights_changes_nothing(kind):
    cell, x, h = made(kind)
    x = x * 1e3  # so that the 1e-5 under the root is nothing
    state = (h, torch.randn_like(h)) if kind is LayerNormLSTMCell else h
    before = cell(x, state)
    with torch.no_grad():
        cell.weight_ih.mul_(7)
    torch.testing.assert_close(cell(3 * x, state), before, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("bias", [True, False])
def test_gradients_are_right(kind, bias):
    cell, x, h = made(kind, bias=bias)
    state = (h, torch.randn_like(h)) if kind is LayerNormLSTMCell else h

    def run(x, *parameters):
        return torch.func.functional_call(cell, dict(zip(names, parameters, strict=True)), (x, state))

    names, parameters = zip(*cell.named_parameters(), strict=True)
    assert torch.autograd.gradcheck(run, (x.requires_grad_(), *parameters))


@pytest.mark.parametrize("kind", CELLS)
def test_sequences_are_steps_and_padding_changes_nothing(kind):
    cell, _, _ = made(kind)
    inputs, lengths = torch.randn(3, 6, 5, dtype=torch.float64), torch.tensor([6, 0, 4])
    outputs, final = run_recurrence(cell, inputs, lengths=lengths)
    for row, length in enumerate(lengths.tolist()):
        state = cell.zero_state(inputs[row : row + 1])
        for position in range(length):
            state = cell(inputs[row : row + 1, position], state)
            hidden = state[0] if kind is LayerNormLSTMCell else state
            torch.testing.assert_close(outputs[row, position], hidden[0])
        last, expected = (final[0], state[0]) if kind is LayerNormLSTMCell else (final, state)
        torch.testing.assert_close(last[row], expected[0])
        assert (outputs[row, length:] == 0).all()


def test_gains_start_at_one_and_no_kernel_is_promised():
    cell = LayerNormLSTMCell(3, 4)
    cell.reset_parameters()
    assert all((gain == 1).all() for gain in (cell.gain_ih, cell.gain_hh, cell.gain_cell))
    with pytest.raises(ValueError, match="no kernel serves layer normalisation: backend must be reference; got 'cpu'"):
        LayerNormGRUCell(3, 4, backend="cpu")
