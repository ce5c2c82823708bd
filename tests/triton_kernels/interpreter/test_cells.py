import pytest
import torch

import seq2seq_fast
from tests.support.engines import dtype_name
from tests.support.truth import gradients
from tests.triton_kernels.comparisons import DTYPES, assert_cell


def tensors(gates, batch, features, hidden, dtype=torch.float32, scale=1.0, pair=False):
    shapes = [(batch, features), (batch, hidden), *([(batch, hidden)] if pair else [])]
    shapes += [(gates * hidden, features), (gates * hidden, hidden), (gates * hidden,), (gates * hidden,)]
    return [(torch.randn(shape) * scale).to(dtype).requires_grad_() for shape in shapes]


def gru(reset_after):
    return lambda backend: lambda *t: [seq2seq_fast.gru_cell(*t, reset_after=reset_after, backend=backend)]


def lstm(backend):
    return lambda x, h, c, *weights: seq2seq_fast.lstm_cell(x, (h, c), *weights, backend=backend)


@pytest.mark.parametrize("dtype", DTYPES, ids=dtype_name)
@pytest.mark.parametrize("reset_after", [True, False])
@pytest.mark.parametrize("hidden", [1, 33])
def test_gru_and_its_gradients_match_float64_truth(dtype, reset_after, hidden, poisoned):
    assert_cell(gru(reset_after), tensors(3, 3, 5, hidden, dtype), error=1e-5)


@pytest.mark.parametrize("dtype", DTYPES, ids=dtype_name)
@pytest.mark.parametrize("hidden", [1, 33])
def test_lstm_and_its_gradients_match_float64_truth(dtype, hidden, poisoned):
    assert_cell(lstm, tensors(4, 3, 5, hidden, dtype, pair=True), error=1e-5)


@pytest.mark.parametrize(("cell", "gates"), [(gru(True), 3), (gru(False), 3), (lstm, 4)])
def test_tiny_arguments_keep_their_digits(cell, gates):
    assert_cell(cell, tensors(gates, 2, 3, 9, scale=1e-3, pair=cell is lstm), error=1e-5)


@pytest.mark.parametrize(("cell", "gates"), [(gru(True), 3), (gru(False), 3), (lstm, 4)])
def test_saturated_gates_match_truth(cell, gates):
    # Through the biases: products of large numbers would round more than the gates do.
    inputs = tensors(gates, 2, 3, 9, pair=cell is lstm)
    with torch.no_grad():
        inputs[-1].mul_(30)
        inputs[-2].mul_(30)
    assert_cell(cell, inputs, error=1e-5)


@pytest.mark.parametrize("size", [511, 513, 1100])
def test_a_row_of_more_units_than_a_program_takes(size):
    gates, state = torch.randn(2, 4 * size), torch.randn(2, size)
    hidden, cell, _ = torch.ops.seq2seq_fast_triton.lstm_gates_forward(gates, torch.zeros_like(gates), state)
    i, f, g, o = gates.double().chunk(4, 1)
    wanted = f.sigmoid() * state + i.sigmoid() * g.tanh()
    torch.testing.assert_close(cell.double(), wanted, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(hidden.double(), o.sigmoid() * wanted.tanh(), rtol=1e-5, atol=1e-6)


def test_nan_stays_in_its_row():
    x, h, *weights = tensors(3, 3, 4, 5)
    with torch.no_grad():
        h[1, 2] = float("nan")
    hidden = seq2seq_fast.gru_cell(x, h, *weights, backend="triton")
    assert bool(hidden[1].isnan().all()) and bool(hidden[[0, 2]].isfinite().all())


@pytest.mark.parametrize(("cell", "gates"), [(gru(True), 3), (gru(False), 3), (lstm, 4)])
def test_programs_in_any_order_give_the_same_bits(cell, gates, shuffled, poisoned):
    inputs = tensors(gates, 5, 3, 7, pair=cell is lstm)
    results = []
    for seed in (None, 0):
        shuffled(seed)
        outputs, grads = gradients(cell("triton"), inputs)
        results.append([*outputs, *grads])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
