import pytest
import torch

from seq2seq_fast import attention_decoder
from tests.support.cases import GATES, decoder_case, run_decoder
from tests.support.engines import ENGINES, FUSED, dtype_name
from tests.support.truth import assert_near, double, gradients

OUTPUTS = ("states", "contexts", "weights", "final state", "final cell")


def assert_true(case, engine, error, roundings):
    names = [name for name, t in case.tensors.items() if t is not None]
    tensors = list(case.tensors.values())
    found, grads = gradients(lambda *t: run_decoder(t, case.options, engine.backend), tensors)
    wide = {k: v.double().cpu() if torch.is_tensor(v) and v.is_floating_point() else v for k, v in case.options.items()}
    wide = {k: v.cpu() if torch.is_tensor(v) else v for k, v in wide.items()}
    truth, true_grads = gradients(lambda *t: run_decoder(t, wide, "reference"), double(tensors))
    for name, a, b in zip(OUTPUTS, found, truth, strict=False):
        assert_near(a, b, error=error, roundings=roundings, name=name)
    for name, a, b in zip(names, grads, true_grads, strict=True):
        assert_near(a, b, error=4 * error, roundings=2 * roundings, name=f"gradient of {name}")


@pytest.mark.parametrize("engine", FUSED, ids=str)
@pytest.mark.parametrize(("target", "source"), [(3, 20), (20, 3)])
def test_long_sources_and_long_targets_match_truth(engine, target, source):
    assert_true(decoder_case("gru", 5, target, source, 8, 16, 16, 32, device=engine.device), engine, 3e-5, 12)


@pytest.mark.parametrize("engine", ENGINES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=dtype_name)
@pytest.mark.parametrize("cell", GATES)
def test_saturated_units_of_sixteen_bits_keep_their_slopes(engine, dtype, cell):
    """tanh' of a state that was rounded to 16 bits is 0, or twice what it is, where the state is near 1."""
    case = decoder_case(cell, 3, 1, 5, 8, 16, 16, 8, dtype=dtype, device=engine.device)
    with torch.no_grad():
        case.tensors["bias_ih"].fill_(5.0)
    assert_true(case, engine, 3e-5, 12)


@pytest.mark.parametrize("engine", ENGINES, ids=str)
@pytest.mark.parametrize("cell", GATES)
def test_nan_in_one_sentence_stays_there(engine, cell):
    case = decoder_case(cell, device=engine.device)
    clean = run_decoder(list(case.tensors.values()), case.options, engine.backend)
    with torch.no_grad():
        case.tensors["keys"][1, 2, 3] = float("nan")
    found = run_decoder(list(case.tensors.values()), case.options, engine.backend)
    assert bool(found[0][1].isnan().all())
    for a, b in zip(found, clean, strict=True):
        assert torch.equal(a[[0, 2]], b[[0, 2]])


@pytest.mark.parametrize("engine", ENGINES, ids=str)
@pytest.mark.parametrize("cell", GATES)
def test_autocast_carries_a_float32_state(engine, cell):
    case = decoder_case(cell, device=engine.device)
    tensors = list(case.tensors.values())
    with torch.autocast(engine.device, dtype=torch.bfloat16):
        states, contexts, *_ = run_decoder(tensors, case.options, engine.backend)
    assert states.dtype == torch.float32 and contexts.dtype == torch.bfloat16
    assert_near(states, run_decoder(double(tensors), case.options, "reference")[0], error=0.05)
    (states.sum() + contexts.float().sum()).backward()
    assert all(t.grad.dtype == torch.float32 for t in tensors if t is not None)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"cell": "gated"}, ValueError, "cell must be one of 'rnn', 'gru', 'lstm'; got 'gated'"),
        ({"cell": "lstm"}, TypeError, r"state must be the pair \(hidden, cell\) for cell='lstm'"),
        ({"state": (torch.zeros(2, 7),) * 2}, TypeError, "state must be one tensor for cell='gru'; got tuple"),
        ({"inputs": torch.zeros(2, 5)}, ValueError, r"inputs must have 3 dimensions, \[B, Ty, E\]"),
        ({"state": torch.zeros(3, 7)}, ValueError, r"state must be \[B, H\] = \[2, any\]"),
        ({"keys": torch.zeros(3, 4, 6)}, ValueError, r"keys must be \[B, Tx, A\] = \[2, any, any\]"),
        ({"query_weight": torch.zeros(6, 8)}, ValueError, r"query_weight must be \[A, H\] = \[6, 7\]"),
        ({"weight_ih": torch.zeros(21, 5)}, ValueError, r"weight_ih must be \[G H, E \+ D\] = \[21, 13\]"),
        ({"weight_hh": torch.zeros(21, 8)}, ValueError, r"weight_hh must be \[G H, H\] = \[21, 7\]"),
        ({"bias_hh": torch.zeros(7)}, ValueError, r"bias_hh must be \[G H\] = \[21\]"),
        ({"query_bias": torch.zeros(7)}, ValueError, r"query_bias must be \[A\] = \[6\]"),
        ({"state_mask": torch.ones(2, 6)}, ValueError, r"state_mask must be \[B, H\] = \[2, 7\]"),
        ({"state_mask": torch.ones(2, 7, requires_grad=True)}, ValueError, "state_mask is a constant"),
        ({"v": torch.zeros(6, dtype=torch.float64)}, TypeError, "v must have the dtype of inputs"),
        ({"lengths": torch.tensor([5, 1])}, ValueError, "lengths must lie between 0"),
    ],
)  # fmt: skip
def test_bad_arguments_are_named(change, error, message):
    tensors = decoder_case(batch=2, source=4).tensors
    arguments = {k: v.detach() for k, v in tensors.items() if v is not None}
    with pytest.raises(error, match=message):
        attention_decoder(**(arguments | change))
