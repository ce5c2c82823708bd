import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seq2seq_fast import use_backend
from seq2seq_fast.nn.cell_kinds import CELLS, make_cell
from seq2seq_fast.nn.cells import hidden_of, map_state
from seq2seq_fast.nn.recurrence import reverse_sequences, run_recurrence
from tests.support.cudnn import Cudnn

TORCH = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}


@pytest.fixture(autouse=True, params=[None, "reference"], ids=["default", "library"])
def path(request):
    """The device's own engine, and PyTorch's sequence operators, which serve where there is none."""
    with use_backend(request.param):
        yield


def close(state, expected):
    pairs = zip(state, expected, strict=True) if isinstance(state, tuple) else [(state, expected)]
    for part, expected_part in pairs:
        torch.testing.assert_close(part, expected_part)


def packed(kind, cell, inputs, lengths, reverse):
    """torch.nn's layer over packed sequences; a bidirectional one whose both directions have the cell's weights."""
    layer = TORCH[kind](cell.input_size, cell.hidden_size, batch_first=True, bidirectional=True)
    weights = {f"{name}_l0{end}": value for name, value in cell.state_dict().items() for end in ("", "_reverse")}
    layer.load_state_dict(weights)
    outputs, final = layer(pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False))
    half = slice(cell.hidden_size, None) if reverse else slice(cell.hidden_size)
    outputs = pad_packed_sequence(outputs, batch_first=True, total_length=inputs.shape[1])[0][..., half]
    return outputs, map_state(lambda part: part[int(reverse)], final)


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("reverse", [False, True])
def test_padded_sequences_give_what_torch_gives_for_packed_ones(kind, reverse):
    cell = make_cell(kind, 3, 4)
    inputs, lengths = torch.randn(4, 6, 3), torch.tensor([6, 1, 4, 3])
    expected, expected_final = packed(kind, cell, inputs, lengths, reverse)
    outputs, final = run_recurrence(cell, inputs, lengths=lengths, reverse=reverse)
    torch.testing.assert_close(outputs, expected)
    close(final, expected_final)
    weight = torch.randn_like(outputs)
    grads = torch.autograd.grad((outputs * weight).sum(), cell.parameters())
    expected_grads = torch.autograd.grad((one_by_one(cell, inputs, lengths, reverse) * weight).sum(), cell.parameters())
    for grad, expected_grad in zip(grads, expected_grads, strict=True):
        torch.testing.assert_close(grad, expected_grad, atol=1e-5, rtol=1e-4)


def one_by_one(cell, inputs, lengths, reverse):
    outputs = torch.zeros(*inputs.shape[:2], cell.hidden_size)
    rows = []
    for row, length in zip(inputs, lengths.tolist(), strict=True):
        state = cell.zero_state(row[:1])
        states = []
        for input in row[:length].flip(0) if reverse else row[:length]:
            state = cell.step(input.unsqueeze(0), state)
            states.append(hidden_of(state))
        states = torch.cat(states)
        rows.append(torch.cat([states.flip(0) if reverse else states, outputs[0, length:]]))
    return torch.stack(rows)


@pytest.mark.parametrize(("kind", "reset_after"), [("rnn", True), ("gru", True), ("gru", False), ("lstm", True)])
def test_a_state_mask_of_ones_changes_nothing(kind, reset_after):
    cell = make_cell(kind, 3, 4, reset_after=reset_after)
    inputs, lengths = torch.randn(3, 5, 3), torch.tensor([5, 0, 2])
    state = map_state(lambda part: torch.randn(3, 4), cell.zero_state(inputs))
    outputs, final = run_recurrence(cell, inputs, state, lengths=lengths)
    stepped, stepped_final = run_recurrence(cell, inputs, state, lengths=lengths, state_mask=torch.ones(3, 4))
    torch.testing.assert_close(outputs, stepped)
    close(final, stepped_final)
    close(map_state(lambda part: part[1], final), map_state(lambda part: part[1], state))


def test_a_state_mask_multiplies_the_hidden_state_of_every_step():
    cell, inputs, mask = make_cell("lstm", 3, 4), torch.randn(2, 3, 3), torch.tensor([[0.0, 2, 0, 1], [1, 1, 0, 3]])
    state = (torch.randn(2, 4), torch.randn(2, 4))
    outputs, _ = run_recurrence(cell, inputs, state, state_mask=mask)
    for position in range(3):
        state = cell.step(inputs[:, position], (state[0] * mask, state[1]))
        torch.testing.assert_close(outputs[:, position], state[0])


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize(("batch", "positions"), [(0, 3), (2, 0)])
def test_empty_batches_and_sequences(kind, batch, positions):
    outputs, final = run_recurrence(make_cell(kind, 3, 4), torch.randn(batch, positions, 3))
    assert outputs.shape == (batch, positions, 4)
    assert (hidden_of(final) == 0).all() and hidden_of(final).shape == (batch, 4)


@pytest.mark.parametrize("kind", CELLS)
def test_autocast_keeps_states_in_the_weights_dtype_on_a_cpu(kind):
    cell, inputs, lengths = make_cell(kind, 3, 4), torch.randn(2, 3, 3), torch.tensor([3, 1])
    exact, _ = run_recurrence(cell, inputs, lengths=lengths)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs, _ = run_recurrence(cell, inputs.bfloat16(), lengths=lengths)
    assert outputs.dtype == torch.float32
    torch.testing.assert_close(outputs, exact, atol=0.03, rtol=0.03)


def test_reversal_keeps_padding_in_place():
    sequences = torch.tensor([[1, 2, 3, 4], [5, 6, 7, 8]]).unsqueeze(2)
    reversed_ = reverse_sequences(sequences, torch.tensor([3, 0])).squeeze(2)
    assert reversed_.tolist() == [[3, 2, 1, 4], [5, 6, 7, 8]]
    assert reverse_sequences(sequences, None).squeeze(2).tolist() == [[4, 3, 2, 1], [8, 7, 6, 5]]


LIBRARY_PATHS = [(kind, lengths, bias) for kind in CELLS for lengths in (None, [5, 0, 3]) for bias in (True, False)]


def library_case(kind, lengths, bias):
    cell = make_cell(kind, 3, 4)
    if not bias:
        cell.bias_ih = cell.bias_hh = None
    lengths = None if lengths is None else torch.tensor(lengths)
    return cell, torch.randn(3, 5, 3, requires_grad=True), lengths


def outcome(cell, inputs, lengths):
    """Outputs, final states, and the gradients of a sum of them all."""
    outputs, final = run_recurrence(cell, inputs, lengths=lengths)
    parts = [outputs, *(final if isinstance(final, tuple) else (final,))]
    loss = sum((part.float() * (1 + i)).sum() for i, part in enumerate(parts))
    return parts, torch.autograd.grad(loss, [inputs, *cell.parameters()])


@pytest.mark.parametrize("path", ["reference"], indirect=True)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize(("kind", "lengths", "bias"), LIBRARY_PATHS)
def test_on_a_gpu_the_library_computes_in_autocasts_dtype(kind, lengths, bias, dtype, monkeypatch):
    cell, inputs, lengths = library_case(kind, lengths, bias)
    exact, exact_grads = outcome(cell, inputs, lengths)
    cudnn = Cudnn().install(monkeypatch)
    with torch.autocast("cpu", dtype):
        parts, grads = outcome(cell, inputs, lengths)
    assert cudnn.calls == [dtype] and {part.dtype for part in parts} == {dtype}
    assert [grad.dtype for grad in grads] == [grad.dtype for grad in exact_grads]
    for found, expected in zip((*parts, *grads), (*exact, *exact_grads), strict=True):
        torch.testing.assert_close(found.float(), expected, atol=0.1, rtol=0.05)


@pytest.mark.parametrize("path", ["reference"], indirect=True)
@pytest.mark.parametrize(("kind", "lengths", "bias"), LIBRARY_PATHS)
def test_on_a_gpu_the_library_gets_its_weights_in_one_piece(kind, lengths, bias, monkeypatch):
    cell, inputs, lengths = library_case(kind, lengths, bias)
    exact, exact_grads = outcome(cell, inputs, lengths)
    cudnn = Cudnn().install(monkeypatch)
    parts, grads = outcome(cell, inputs, lengths)
    assert cudnn.calls == [torch.float32] and cudnn.copied == 0
    for found, expected in zip((*parts, *grads), (*exact, *exact_grads), strict=True):
        torch.testing.assert_close(found, expected)
