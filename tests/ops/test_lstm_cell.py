import pytest
import torch

from seq2seq_fast import lstm_cell
from tests.ops.test_gru_cell import cell_inputs
from tests.support.engines import ENGINES
from tests.support.truth import assert_near, double


def lstm_inputs(*shape, **options):
    input, hidden, *rest = cell_inputs(*shape, 4, **options)
    return [input, hidden, (hidden.detach() * 0.7 - 0.2).requires_grad_(), *rest]


def lstm(backend):
    return lambda input, hidden, cell, *rest: lstm_cell(input, (hidden, cell), *rest, backend=backend)


@pytest.mark.parametrize("engine", ENGINES, ids=str)
def test_it_is_pytorchs_cell(engine):
    torch_cell = torch.nn.LSTMCell(5, 7).to(engine.device)
    input, *state = (torch.randn(3, n, device=engine.device) for n in (5, 7, 7))
    parameters = (torch_cell.weight_ih, torch_cell.weight_hh, torch_cell.bias_ih, torch_cell.bias_hh)
    found = lstm_cell(input, tuple(state), *parameters, backend=engine.backend)
    for a, b in zip(found, torch_cell(input, tuple(state)), strict=True):
        torch.testing.assert_close(a, b)


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
