"""Gate arithmetic of the compiled engine: precision at any size of argument, mixed dtypes, rows in a larger matrix."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import seq2seq_fast
from seq2seq_fast.ops.backends import raw
from seq2seq_fast.reference.gru_cell import gru_gates, gru_reset, gru_update
from seq2seq_fast.reference.lstm_cell import lstm_gates
from tests.support.cases import SIZES
from tests.support.truth import assert_near

pytestmark = pytest.mark.skipif(not seq2seq_fast.backends()["cpu"].usable, reason="the CPU engine is not built")

# gates and state: the same dtype, or a state in the dtype that narrower gates accumulate in.
DTYPES = [
    (torch.float64, torch.float64), (torch.float32, torch.float32), (torch.float16, torch.float16),
    (torch.bfloat16, torch.bfloat16), (torch.float16, torch.float32), (torch.bfloat16, torch.float32),
]  # fmt: skip
WIDTHS = {"gru_gates": (3, 3, 1), "gru_reset": (2, 2, 1), "gru_update": (1, 1, 1, 1), "lstm_gates": (4, 4, 1)}
FORMULAS = {"gru_gates": gru_gates, "gru_reset": gru_reset, "gru_update": gru_update, "lstm_gates": lstm_gates}


def forward_and_backward(name, inputs, grads):
    """Outputs and the gradient of each input, from the raw operators."""
    operators = raw("cpu")
    outputs = getattr(operators, f"{name}_forward")(*inputs)
    *results, activations = outputs
    backward = getattr(operators, f"{name}_backward")
    if name == "gru_gates":
        return results, backward(grads[0], inputs[1], inputs[2], activations)
    if name == "gru_reset":
        gates, hidden = backward(grads[0], inputs[2], activations)
        return results, (gates, gates, hidden)
    if name == "gru_update":
        candidate, z, hidden = backward(grads[0], inputs[2], inputs[3], activations)
        return results, (candidate, candidate, z, hidden)
    gates, cell = backward(grads[0], grads[1], inputs[2], results[1], activations)
    return results, (gates, gates, cell)


def assert_gates(name, dtypes, batch, size, scale, seed, inside=0):
    gates, state = dtypes
    generator = torch.Generator().manual_seed(seed)

    def draw(width, dtype):
        drawn = torch.randn(batch, width * size + inside, generator=generator, dtype=torch.float64) * scale
        return drawn.to(dtype)[:, inside:]

    widths = WIDTHS[name]
    inputs = [draw(width, gates if i < 2 else state) for i, width in enumerate(widths)]
    results_dtypes = [gates, state] if name == "lstm_gates" else [state]
    grads = [draw(2 if name == "gru_reset" else 1, dtype) / scale for dtype in results_dtypes]
    results, found = forward_and_backward(name, inputs, grads)

    wide = [t.double().requires_grad_() for t in inputs]
    wanted = FORMULAS[name](*wide)
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    wanted_grads = torch.autograd.grad(wanted, wide, [g.double() for g in grads])
    # In float64 the truth errs as much as the kernel, and h - n of the gradients cancels in both.
    error = 128 * torch.finfo(torch.float64).eps if state == torch.float64 else 16 * torch.finfo(torch.float32).eps
    for a, b, dtype in zip(results, wanted, results_dtypes, strict=True):
        assert a.dtype == dtype
        assert_near(a, b, error=error, roundings=2, name=name)
    for a, b in zip(found, wanted_grads, strict=True):
        assert_near(a, b, error=error * max(1.0, scale), roundings=4, name=f"gradient of {name}")


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("dtypes", DTYPES, ids=lambda pair: "-".join(str(d).removeprefix("torch.") for d in pair))
@given(
    batch=st.integers(0, 3), size=st.sampled_from(SIZES), scale=st.sampled_from((1e-3, 1.0, 4.0)),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_outputs_and_gradients_match_float64_truth_at_any_shape_and_scale(name, dtypes, batch, size, scale, seed):
    assert_gates(name, dtypes, batch, size, scale, seed)


@pytest.mark.parametrize("name", FORMULAS)
def test_rows_inside_a_larger_matrix_and_several_threads(name):
    assert_gates(name, (torch.float32, torch.float32), 37, 1025, 1.0, seed=0, inside=3)


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf, 3e38])
def test_non_finite_arguments_reach_their_units_and_no_others(name, bad):
    inputs = [torch.randn(2, width * 19) for width in WIDTHS[name]]
    inputs[0][1, 5] = bad
    results = getattr(raw("cpu"), f"{name}_forward")(*inputs)[:-1]
    wanted = FORMULAS[name](*(t.double() for t in inputs))
    for a, b in zip(results, wanted if isinstance(wanted, tuple) else (wanted,), strict=True):
        assert_near(a, b, error=1e-6)


def test_a_missing_gradient_of_the_lstm_is_zero():
    inputs = [torch.randn(3, width * 10) for width in WIDTHS["lstm_gates"]]
    _, cell, activations = raw("cpu").lstm_gates_forward(*inputs)
    grad, zero = torch.randn(3, 10), torch.zeros(3, 10)
    for given_grads, full in (((grad, None), (grad, zero)), ((None, grad), (zero, grad))):
        some = raw("cpu").lstm_gates_backward(*given_grads, inputs[2], cell, activations)
        every = raw("cpu").lstm_gates_backward(*full, inputs[2], cell, activations)
        for a, b in zip(some, every, strict=True):
            torch.testing.assert_close(a, b)


@pytest.mark.parametrize("name", FORMULAS)
def test_a_raw_operator_refuses_shapes_that_do_not_fit(name):
    inputs = [torch.randn(2, width * 6) for width in WIDTHS[name]]
    for i in range(len(inputs)):
        wrong = [t[:, :-1] if i == j else t for j, t in enumerate(inputs)]
        with pytest.raises(RuntimeError, match="must be"):
            getattr(raw("cpu"), f"{name}_forward")(*wrong)
