import pytest
import torch

from seq2seq_fast.triton_kernels import launch
from tests.support.cases import decoder_case, run_decoder
from tests.support.engines import dtype_name
from tests.support.truth import assert_near, gradients
from tests.triton_kernels.comparisons import assert_decoder, proved, quick_first

FORMS = [("rnn", True), ("gru", True), ("gru", False), ("lstm", True)]


@pytest.mark.parametrize(("cell", "reset_after"), FORMS)
@pytest.mark.parametrize("projected", quick_first([True, False]))
def test_outputs_and_all_gradients_match_float64_truth(monkeypatch, cell, reset_after, projected, poisoned):
    monkeypatch.setattr(launch, "project_values", lambda *shape: projected)
    case = decoder_case(
        cell, 3, 2, 5, 3, 7, 6, 8, reset_after=reset_after, state_mask=True, lengths=[5, 0, 2], biases=projected
    )
    assert_decoder(case)


@pytest.mark.parametrize("dtype", quick_first((torch.bfloat16, torch.float16)), ids=dtype_name)
@pytest.mark.parametrize("cell", quick_first(("gru", "lstm", "rnn")))
def test_sixteen_bit_inputs_match_truth_to_their_rounding(cell, dtype, poisoned):
    assert_decoder(decoder_case(cell, 2, 2, 4, 3, 5, 6, 4, dtype=dtype, mask=[[True, False, True, True]] * 2))


@pytest.mark.parametrize("dtype", quick_first((torch.bfloat16, torch.float16)), ids=dtype_name)
def test_saturated_units_of_sixteen_bits_keep_their_slopes(dtype, poisoned):
    case = decoder_case("rnn", 2, 1, 4, 3, 5, 6, 4, dtype=dtype)
    with torch.no_grad():
        case.tensors["bias_ih"].fill_(5.0)
    assert_decoder(case)


@pytest.mark.parametrize("dtype", quick_first((torch.bfloat16, torch.float16)), ids=dtype_name)
@pytest.mark.parametrize(
    ("cell", "reset_after", "projected"),
    [("gru", False, True), proved("gru", False, False), proved("gru", True, False), proved("lstm", True, True)],
)
def test_sixteen_bits_with_a_masked_state_and_several_tiles_match_truth(
    monkeypatch, cell, reset_after, projected, dtype, poisoned
):
    monkeypatch.setattr(launch, "project_values", lambda *shape: projected)
    assert_decoder(
        decoder_case(cell, 2, 2, 18, 3, 5, 6, 4, dtype=dtype, reset_after=reset_after, state_mask=True, lengths=[18, 7])
    )


@pytest.mark.parametrize("multiplied", [True, proved(False)])
@pytest.mark.parametrize("dtype", quick_first((torch.float32, torch.bfloat16, torch.float16)), ids=dtype_name)
@pytest.mark.parametrize("projected", quick_first([False, True]))
def test_sources_of_several_tiles_match_truth(monkeypatch, projected, dtype, multiplied, poisoned):
    monkeypatch.setattr(launch, "project_values", lambda *shape: projected)
    monkeypatch.setattr(launch, "multiply_tiles", lambda *shape: multiplied)
    assert_decoder(decoder_case("gru", 2, 2, 37, 3, 5, 6, 9, dtype=dtype, lengths=[37, 18]))


@torch.no_grad()
def test_values_near_the_end_of_float16_stay_in_range_in_several_tiles(monkeypatch, poisoned):
    monkeypatch.setattr(launch, "project_values", lambda *shape: False)
    case = decoder_case("rnn", 1, 1, 37, 3, 5, 6, 9, dtype=torch.float16)
    case.tensors["values"].mul_(0).add_(3e4)
    case.tensors["weight_ih"].mul_(1e-5)
    found = run_decoder(list(case.tensors.values()), case.options, "triton")
    assert all(bool(t.isfinite().all()) for t in found if t is not None)


@pytest.mark.prove
def test_queries_and_keys_beyond_the_exponentials_range_match_truth():
    assert_decoder(decoder_case("gru", 2, 2, 4, 3, 5, 6, 4, scale=50.0), error=2e-3)


@pytest.mark.prove
def test_nan_in_one_sentence_stays_there():
    case = decoder_case("lstm", 3, 2, 4, 3, 5, 6, 4)
    tensors = list(case.tensors.values())
    clean = run_decoder(tensors, case.options, "triton")
    with torch.no_grad():
        case.tensors["keys"][1, 2, 3] = float("nan")
    found = run_decoder(tensors, case.options, "triton")
    assert bool(found[0][1].isnan().all())
    assert all(torch.equal(a[[0, 2]], b[[0, 2]]) for a, b in zip(found, clean, strict=True))


@pytest.mark.parametrize("sizes", [(0, 2, 4), (2, 0, 4), (2, 2, 0)], ids=str)
def test_empty_batches_targets_and_sources(sizes, poisoned):
    assert_decoder(decoder_case("lstm", *sizes, 3, 5, 6, 4))


@pytest.mark.parametrize(("cell", "reset_after"), [FORMS[1], proved(*FORMS[0]), proved(*FORMS[2]), proved(*FORMS[3])])
@pytest.mark.parametrize("projected", quick_first([True, False]))
def test_programs_in_any_order_give_the_same_bits(monkeypatch, cell, reset_after, projected, shuffled, poisoned):
    monkeypatch.setattr(launch, "project_values", lambda *shape: projected)
    case = decoder_case(cell, 2, 2, 18, 3, 5, 6, 4, reset_after=reset_after, lengths=[18, 5])
    results = []
    for seed in (None, 0):
        shuffled(seed)
        outputs, grads = gradients(lambda *t: run_decoder(t, case.options, "triton"), list(case.tensors.values()))
        results.append([*outputs, *grads])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.prove
@pytest.mark.parametrize(("cell", "reset_after"), FORMS)
def test_one_gradient_alone_is_what_it_is_among_all(cell, reset_after):
    case = decoder_case(cell, 2, 2, 3, 2, 3, 4, 2, reset_after=reset_after)
    tensors = list(case.tensors.values())
    given = [i for i, t in enumerate(tensors) if t is not None]
    _, every = gradients(lambda *t: run_decoder(t, case.options, "triton"), tensors)
    for place, needed in enumerate(given):
        alone = [None if t is None else t.detach().requires_grad_(i == needed) for i, t in enumerate(tensors)]
        _, found = gradients(lambda *t: run_decoder(t, case.options, "triton"), alone)
        assert_near(found[0], every[place], error=0, roundings=16, name=list(case.tensors)[needed])
