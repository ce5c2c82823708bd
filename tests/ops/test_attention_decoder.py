import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seq2seq_fast import attention_decoder
from tests.support.cases import GATES, decoder_case, decoder_cases, misplaced, run_decoder
from tests.support.engines import DTYPES, ENGINES, FUSED, dtype_name
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


@pytest.mark.parametrize("engine", ENGINES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=dtype_name)
@given(data=st.data())
def test_outputs_and_all_gradients_match_float64_truth(engine, dtype, data):
    if engine.lacks(dtype):
        return
    case = data.draw(decoder_cases(dtype=dtype, device=engine.device))
    assert_true(case, engine, error=1e-12 if dtype == torch.float64 else 3e-5, roundings=12)


@pytest.mark.parametrize("engine", FUSED, ids=str)
@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("reset_after", [True, False])
def test_sizes_beyond_one_block_match_truth(engine, cell, reset_after, poisoned):
    case = decoder_case(
        cell, 19, 7, 13, 33, 67, 65, 129, device=engine.device, reset_after=reset_after, state_mask=True,
        lengths=[13, 1, 0, 7] + [5] * 15,
    )  # fmt: skip
    assert_true(case, engine, error=3e-5, roundings=12)


@pytest.mark.parametrize("engine", ENGINES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=dtype_name)
@pytest.mark.parametrize("cell", GATES)
def test_sizes_that_suit_tensor_cores_match_truth(engine, dtype, cell):
    """Multiples of eight: the CUDA engine runs all positions in one launch."""
    case = decoder_case(
        cell, 5, 3, 9, 6, 32, 24, 12, dtype=dtype, device=engine.device, state_mask=True, lengths=[9, 1, 0, 4, 9]
    )
    assert_true(case, engine, error=3e-5, roundings=12)


@pytest.mark.parametrize("engine", FUSED, ids=str)
@pytest.mark.parametrize(("target", "source"), [(3, 20), (20, 3)])
def test_long_sources_and_long_targets_match_truth(engine, target, source):
    assert_true(decoder_case("gru", 5, target, source, 8, 16, 16, 32, device=engine.device), engine, 3e-5, 12)


@pytest.mark.parametrize("engine", FUSED, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=dtype_name)
@pytest.mark.parametrize("cell", GATES)
def test_tensors_at_any_address_match_truth(engine, dtype, cell):
    case = decoder_case(cell, 2, 2, 5, 8, 16, 16, 8, dtype=dtype, device=engine.device)
    case.tensors = {name: misplaced(tensor) for name, tensor in case.tensors.items()}
    assert_true(case, engine, error=3e-5, roundings=12)


@pytest.mark.parametrize("engine", ENGINES, ids=str)
@pytest.mark.parametrize("cell", GATES)
def test_queries_and_keys_out_of_the_exponentials_range_match_truth(engine, cell):
    assert_true(decoder_case(cell, scale=50.0, device=engine.device), engine, error=2e-3, roundings=12)


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
def test_a_source_with_nothing_to_attend_decodes_with_zero_context(engine):
    case = decoder_case("gru", device=engine.device, lengths=[5, 0, 2])
    with torch.no_grad():
        case.tensors["keys"][1] = float("nan")
        case.tensors["values"][2, 2:] = float("inf")
    (states, contexts, weights, _), grads = gradients(
        lambda *t: run_decoder(t, case.options, engine.backend), list(case.tensors.values())
    )
    assert bool((contexts[1] == 0).all()) and bool((weights[1] == 0).all())
    assert all(bool(t.isfinite().all()) for t in (states, contexts, weights, *grads))


@pytest.mark.parametrize("engine", [e for e in ENGINES if e.serves(torch.float64)], ids=str)
@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("reset_after", [True, False])
def test_gradcheck(engine, cell, reset_after):
    case = decoder_case(
        cell, 2, 2, 3, 2, 3, 2, 2, dtype=torch.float64, device=engine.device, lengths=[3, 2], state_mask=True,
        reset_after=reset_after,
    )  # fmt: skip
    given_tensors = [t for t in case.tensors.values() if t is not None]
    present = [t is not None for t in case.tensors.values()]

    def function(*tensors):
        rest = iter(tensors)
        outputs = run_decoder([next(rest) if there else None for there in present], case.options, engine.backend)
        return tuple(outputs)

    assert torch.autograd.gradcheck(function, given_tensors)


@pytest.mark.parametrize("engine", [e for e in ENGINES if e.serves(torch.float64)], ids=str)
def test_gradgradcheck(engine):
    case = decoder_case("gru", 1, 2, 2, 1, 2, 2, 1, dtype=torch.float64, device=engine.device)

    def function(*tensors):
        rest = iter(tensors)
        present = [None if t is None else next(rest) for t in case.tensors.values()]
        return tuple(run_decoder(present, case.options, engine.backend))

    assert torch.autograd.gradgradcheck(function, [t for t in case.tensors.values() if t is not None])


@pytest.mark.parametrize("engine", FUSED, ids=str)
@given(subset=st.lists(st.booleans(), min_size=12, max_size=12), cell=st.sampled_from(tuple(GATES)))
def test_every_subset_of_requires_grad_gives_the_same_gradients(engine, subset, cell):
    case = decoder_case(cell, device=engine.device)
    tensors = list(case.tensors.values())
    _, every = gradients(lambda *t: run_decoder(t, case.options, engine.backend), tensors)
    whole = iter(every)
    by_position = [None if t is None else next(whole) for t in tensors]
    some = [None if t is None else t.detach().requires_grad_(need) for t, need in zip(tensors, subset, strict=True)]
    if not any(t is not None and t.requires_grad for t in some):
        return
    _, found = gradients(lambda *t: run_decoder(t, case.options, engine.backend), some)
    wanted = [g for g, t in zip(by_position, some, strict=True) if t is not None and t.requires_grad]
    for a, b in zip(found, wanted, strict=True):
        assert_near(a, b.double(), error=1e-5)


@pytest.mark.parametrize("engine", ENGINES, ids=str)
@pytest.mark.parametrize("used", range(5))
def test_one_output_alone_can_be_differentiated(engine, used):
    case = decoder_case("lstm", device=engine.device)
    tensors = list(case.tensors.values())
    _, found = gradients(lambda *t: [run_decoder(t, case.options, engine.backend)[used]], tensors)
    _, truth = gradients(lambda *t: [run_decoder(t, case.options, "reference")[used]], double(tensors))
    for name, a, b in zip([n for n, t in case.tensors.items() if t is not None], found, truth, strict=True):
        assert_near(a, b, error=1e-4, name=name)


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


@pytest.mark.parametrize("engine", ENGINES, ids=str)
def test_the_same_inputs_give_the_same_bits(engine, poisoned):
    case = decoder_case("gru", 17, 5, 9, 16, 33, 34, 35, device=engine.device)
    runs = [
        gradients(lambda *t: run_decoder(t, case.options, engine.backend), list(case.tensors.values())) for _ in "ab"
    ]
    (first, first_grads), (again, again_grads) = runs
    assert all(torch.equal(a, b) for a, b in zip((*first, *first_grads), (*again, *again_grads), strict=True))


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
