import pytest
import torch

from seq2seq_fast.triton_kernels import launch
from tests.support.cases import GATES, decoder_case, run_decoder
from tests.support.engines import dtype_name
from tests.support.truth import gradients
from tests.triton_kernels.comparisons import DTYPES, assert_decoder

FORMS = [("rnn", True), ("gru", True), ("gru", False), ("lstm", True)]


@pytest.mark.parametrize(("cell", "reset_after"), FORMS)
@pytest.mark.parametrize("projected", [True, False])
def test_outputs_and_all_gradients_match_float64_truth(monkeypatch, cell, reset_after, projected, poisoned):
    monkeypatch.setattr(launch, "project_values", lambda *shape: projected)
    case = decoder_case(
        cell, 3, 2, 5, 3, 7, 6, 8, reset_after=reset_after, state_mask=True, lengths=[5, 0, 2], biases=projected
    )
    assert_decoder(case)


@pytest.mark.parametrize("dtype", DTYPES[1:], ids=dtype_name)
@pytest.mark.parametrize("cell", GATES)
def test_sixteen_bit_inputs_match_truth_to_their_rounding(cell, dtype, poisoned):
    assert_decoder(decoder_case(cell, 2, 2, 4, 3, 5, 6, 4, dtype=dtype, mask=[[True, False, True, True]] * 2))


@pytest.mark.parametrize("projected", [True, False])
def test_sources_of_several_tiles_match_truth(monkeypatch, projected, poisoned):
    monkeypatch.setattr(launch, "project_values", lambda *shape: projected)
    assert_decoder(decoder_case("gru", 2, 2, 37, 3, 5, 6, 9, lengths=[37, 18]))


def test_queries_and_keys_beyond_the_exponentials_range_match_truth():
    assert_decoder(decoder_case("gru", 2, 2, 4, 3, 5, 6, 4, scale=50.0), error=2e-3)


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


def test_programs_in_any_order_give_the_same_bits(shuffled, poisoned):
    case = decoder_case("gru", 3, 2, 18, 3, 5, 6, 4, lengths=[18, 1, 5])
    results = []
    for seed in (None, 0):
        shuffled(seed)
        outputs, grads = gradients(lambda *t: run_decoder(t, case.options, "triton"), list(case.tensors.values()))
        results.append([*outputs, *grads])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("needed", range(12))
def test_one_gradient_alone_is_what_it_is_among_all(needed):
    case = decoder_case("lstm", 2, 2, 3, 2, 3, 4, 2)
    tensors = list(case.tensors.values())
    _, every = gradients(lambda *t: run_decoder(t, case.options, "triton"), tensors)
    alone = [t.detach().requires_grad_(i == needed) for i, t in enumerate(tensors)]
    _, found = gradients(lambda *t: run_decoder(t, case.options, "triton"), alone)
    assert torch.equal(found[0], every[needed])
