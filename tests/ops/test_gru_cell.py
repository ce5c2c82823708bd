import pytest
import torch

from seq2seq_fast import gru_cell
from tests.support.engines import ENGINES
from tests.support.truth import assert_near, double

NAMES = ("input", "hidden", "weight_ih", "weight_hh", "bias_ih", "bias_hh")


def cell_inputs(batch, features, size, gates, *, dtype=torch.float32, device="cpu", biases=True, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape, scale=1.0):
        drawn = torch.randn(shape, generator=generator, dtype=torch.float64) * scale
        return drawn.to(dtype).to(device).requires_grad_()

    weights = [
        draw(gates * size, features, scale=max(features, 1) ** -0.5),
        draw(gates * size, size, scale=size**-0.5),
    ]
    return [
        draw(batch, features),
        draw(batch, size),
        *weights,
        *((draw(gates * size), draw(gates * size)) if biases else (None, None)),
    ]


@pytest.mark.parametrize("engine", ENGINES, ids=str)
def test_reset_after_is_pytorchs_cell(engine):
    torch_cell = torch.nn.GRUCell(5, 7).to(engine.device)
    input, hidden = torch.randn(3, 5, device=engine.device), torch.randn(3, 7, device=engine.device)
    parameters = (torch_cell.weight_ih, torch_cell.weight_hh, torch_cell.bias_ih, torch_cell.bias_hh)
    found = gru_cell(input, hidden, *parameters, backend=engine.backend)
    torch.testing.assert_close(found, torch_cell(input, hidden))


@pytest.mark.parametrize("engine", ENGINES, ids=str)
def test_reset_before_is_the_papers_cell_with_its_update_gate_complemented(engine):
    input, hidden, w, u, *_ = cell_inputs(3, 4, 5, 3, device=engine.device, biases=False)
    (w_r, w_z, w), (u_r, u_z, u) = w.chunk(3), u.chunk(3)
    r = torch.sigmoid(input @ w_r.T + hidden @ u_r.T)
    z = 1 - torch.sigmoid(input @ w_z.T + hidden @ u_z.T)
    candidate = torch.tanh(input @ w.T + (r * hidden) @ u.T)
    paper = (1 - z) * hidden + z * candidate
    found = gru_cell(
        input, hidden, torch.cat([w_r, w_z, w]), torch.cat([u_r, u_z, u]), reset_after=False, backend=engine.backend
    )
    torch.testing.assert_close(found, paper)


@pytest.mark.parametrize("engine", ENGINES, ids=str)
@pytest.mark.parametrize("reset_after", [True, False])
def test_autocast_carries_a_float32_state(engine, reset_after):
    inputs = cell_inputs(3, 4, 5, 3, device=engine.device)
    with torch.autocast(engine.device, dtype=torch.bfloat16):
        found = gru_cell(*inputs, reset_after=reset_after, backend=engine.backend)
    assert found.dtype == torch.float32
    assert_near(found, gru_cell(*double(inputs), reset_after=reset_after, backend="reference"), error=0.03)
    found.sum().backward()
    assert all(t.grad.dtype == torch.float32 for t in inputs)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"input": torch.zeros(2)}, ValueError, r"input must have 2 dimensions, \[B, E\]"),
        ({"hidden": torch.zeros(3, 5)}, ValueError, r"hidden must be \[B, H\] = \[2, any\]; got shape \(3, 5\)"),
        ({"hidden": torch.zeros(2, 5, dtype=torch.float64)}, TypeError, "hidden must have the dtype of input"),
        ({"weight_ih": torch.zeros(14, 4)}, ValueError, r"weight_ih must be \[3H, E\] = \[15, any\]"),
        ({"weight_ih": torch.zeros(15, 3)}, ValueError, r"input must be \[B, E\] = \[2, 3\]; got shape \(2, 4\)"),
        ({"weight_hh": torch.zeros(10, 5)}, ValueError, r"weight_hh must be \[3H, H\] = \[15, 5\]"),
        ({"bias_ih": torch.zeros(5)}, ValueError, r"bias_ih must be \[3H\] = \[15\]"),
        ({"bias_hh": torch.zeros(15, device="meta")}, ValueError, "bias_hh must be on the device of input"),
        ({"backend": "nowhere"}, ValueError, "backend='nowhere' is unknown"),
    ],
)
def test_bad_arguments_are_named(change, error, message):
    arguments = {
        "input": torch.zeros(2, 4), "hidden": torch.zeros(2, 5), "weight_ih": torch.zeros(15, 4),
        "weight_hh": torch.zeros(15, 5),
    }  # fmt: skip
    with pytest.raises(error, match=message):
        gru_cell(**(arguments | change))
