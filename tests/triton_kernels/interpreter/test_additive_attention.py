import pytest
import torch

import seq2seq_fast
from seq2seq_fast.triton_kernels import launch
from tests.support.cases import attention_case
from tests.support.engines import dtype_name
from tests.support.truth import assert_near, double, gradients, score_error
from tests.triton_kernels.comparisons import DTYPES, assert_attention, attention, cancelling_case

# One tile of positions; several, with odd sizes; many queries in tiles of every kind of remainder.
SHAPES = [(2, 1, 1, 1, 1), (3, 1, 5, 7, 6), (2, 2, 67, 33, 70), (2, 9, 37, 35, 17), (1, 17, 17, 8, 3)]


@pytest.mark.parametrize("dtype", DTYPES, ids=dtype_name)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_outputs_and_all_gradients_match_float64_truth(shape, dtype, poisoned):
    batch, source = shape[0], shape[2]
    mask = torch.rand(batch, source) > 0.3
    lengths = [source, source // 2, 1][:batch]
    assert_attention(attention_case(*shape, dtype=dtype, lengths=lengths, mask=mask))


@pytest.mark.parametrize("shape", [(2, 1, 19, 9, 5), (2, 11, 19, 9, 5)], ids=str)
def test_without_weights_gradients_come_from_the_logarithm_of_the_sum(shape, poisoned):
    assert_attention(attention_case(*shape, lengths=[19, 6]), need_weights=False)


@pytest.mark.parametrize("need_weights", [True, False])
def test_many_queries_are_taken_in_chunks_of_bounded_size(monkeypatch, need_weights, poisoned):
    monkeypatch.setattr(launch, "MANY_SCORES", 0)
    assert launch.query_chunk(2, 70, 9) == 32
    assert_attention(attention_case(1, 70, 9, 10, 5, lengths=[7]), need_weights)


@pytest.mark.parametrize("queries", [None, 11])
@pytest.mark.parametrize("scale", [5.0, 60.0])
def test_large_arguments_and_cancelling_pairs_are_as_exact_as_small_ones(queries, scale):
    assert_attention(cancelling_case(queries, scale))


@pytest.mark.parametrize("queries", [None, 10])
@pytest.mark.parametrize("bad", [float("nan"), float("-inf"), 3e38])
def test_non_finite_values_reach_their_rows_and_no_others(queries, bad):
    case = attention_case(3, queries, 6, 9, 5)
    clean = seq2seq_fast.additive_attention(*case.differentiable, backend="triton")
    with torch.no_grad():
        case.keys[1, 2, 3] = bad
        case.query[(2, 4) if queries is None else (2, 1, 4)] = bad
    found = seq2seq_fast.additive_attention(*case.differentiable, backend="triton")
    truth = seq2seq_fast.additive_attention(*double(case.differentiable), backend="reference")
    for a, b, c in zip(found, truth, clean, strict=True):
        assert_near(a, b, error=4 * score_error(case.v))
        assert torch.equal(a[0], c[0])


@pytest.mark.parametrize("queries", [1, 10])
@pytest.mark.parametrize("dtype", DTYPES, ids=dtype_name)
def test_padding_of_any_content_has_no_weight_and_no_gradient(queries, dtype):
    case = attention_case(3, queries, 7, 9, 5, dtype=dtype, lengths=[7, 3, 0], mask=[[True, False] + [True] * 5] * 3)
    hidden = ~case.mask | (torch.arange(7) >= case.lengths[:, None])
    with torch.no_grad():
        case.keys[hidden] = float("nan")
        case.values[hidden] = float("inf")
    (context, weights), grads = gradients(attention(case, "triton"), case.differentiable)
    assert bool((weights.transpose(1, 2)[hidden] == 0).all())
    assert bool((grads[1][hidden] == 0).all()) and bool((grads[2][hidden] == 0).all())
    assert all(bool(g.isfinite().all()) for g in (context, weights, *grads))
    assert bool((context[2] == 0).all()) and bool((grads[0][2] == 0).all()), "an empty row is zero"


@pytest.mark.parametrize("shape", [(0, 2, 5, 7, 6), (2, 0, 5, 7, 6), (2, 2, 0, 7, 6), (2, 10, 0, 7, 6)], ids=str)
def test_empty_batches_queries_and_sources(shape, poisoned):
    assert_attention(attention_case(*shape))


@pytest.mark.parametrize("shape", [(2, 1, 67, 33, 17), (2, 11, 37, 9, 17)], ids=str)
def test_programs_in_any_order_give_the_same_bits(shape, shuffled, poisoned):
    case = attention_case(*shape, lengths=[shape[2], 5])
    results = []
    for seed in (None, 0, 1):
        shuffled(seed)
        outputs, grads = gradients(attention(case, "triton"), case.differentiable)
        results.append([*outputs, *grads])
    for again in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], again, strict=True))


@pytest.mark.parametrize("queries", [1, 10])
@pytest.mark.parametrize("needed", range(4))
def test_one_gradient_alone_is_what_it_is_among_all(queries, needed):
    case = attention_case(2, queries, 9, 6, 5, lengths=[9, 4])
    _, every = gradients(attention(case, "triton"), case.differentiable)
    alone = [t.detach().requires_grad_(i == needed) for i, t in enumerate(case.differentiable)]
    _, found = gradients(attention(case, "triton"), alone)
    assert torch.equal(found[0], every[needed])


def test_a_query_reads_rows_that_are_far_apart():
    case = attention_case(3, 1, 6, 9, 5)
    wide = torch.full((3, 1, 40), float("nan"))
    wide[..., 11:20] = case.query.detach()
    found = attention(case, "triton")(wide[..., 11:20], *case.differentiable[1:])
    assert all(torch.equal(a, b) for a, b in zip(found, attention(case, "triton")(*case.differentiable), strict=True))
