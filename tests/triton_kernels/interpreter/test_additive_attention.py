import itertools

import pytest
import torch

import seq2seq_fast
from seq2seq_fast.triton_kernels import launch
from tests.support.cases import attention_case
from tests.support.engines import dtype_name
from tests.support.truth import assert_near, double, gradients, score_error
from tests.triton_kernels.comparisons import (
    DTYPES,
    assert_attention,
    attention,
    cancelling_case,
    proved,
    quick_first,
)

# One tile of positions; several, with odd sizes; many queries in tiles of every kind of remainder.
SHAPES = [
    (2, 1, 1, 1, 1), (3, 1, 5, 7, 6), (1, 17, 17, 8, 3), proved((2, 2, 67, 33, 70)), proved((2, 9, 37, 35, 17)),
]  # fmt: skip


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


@pytest.mark.prove
@pytest.mark.parametrize("need_weights", [True, False])
def test_many_queries_are_taken_in_chunks_of_bounded_size(monkeypatch, need_weights, poisoned):
    monkeypatch.setattr(launch, "MANY_SCORES", 0)
    assert launch.query_chunk(2, 70, 9) == 32
    assert_attention(attention_case(1, 70, 9, 10, 5, lengths=[7]), need_weights)


@pytest.mark.parametrize("source", [3, 16])
def test_a_tile_without_positions_changes_nothing(monkeypatch, source, poisoned):
    """What torch.compile compiles for any length may have one."""
    monkeypatch.setattr(launch, "tile_count", lambda positions, block: launch.ceil_div(positions, block) + 1)
    assert_attention(attention_case(2, 1, source, 7, 6, lengths=[source, 0]))


@pytest.mark.parametrize("queries", [1, 34])
def test_autocast_rounds_nothing_of_a_memory_in_float32_forward_or_backward(monkeypatch, queries):
    monkeypatch.setattr(launch, "MANY_SCORES", 0)
    query, keys, values, v = tensors = attention_case(1, queries, 3, 4, 5).differentiable
    results = []
    for enabled in (False, True):
        memory = seq2seq_fast.attention_memory(keys, values)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            outputs = seq2seq_fast.attend(query, memory, v, backend="triton")
            results.append([*outputs, *torch.autograd.grad(outputs, tensors, [o.detach() for o in outputs])])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("queries", [None, 11])
@pytest.mark.parametrize("scale", [60.0, proved(5.0)])
@pytest.mark.parametrize("dtype", quick_first(DTYPES), ids=dtype_name)
def test_large_arguments_and_cancelling_pairs_are_as_exact_as_small_ones(queries, scale, dtype):
    assert_attention(cancelling_case(queries, scale, dtype))


@pytest.mark.parametrize("queries", [None, 10])
@pytest.mark.parametrize("bad", quick_first([float("nan"), float("-inf"), 3e38]))
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
@pytest.mark.parametrize("dtype", quick_first(DTYPES), ids=dtype_name)
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


@pytest.mark.parametrize("shape", [(2, 1, 37, 9, 5), (2, 11, 19, 9, 5)], ids=str)
def test_programs_in_any_order_give_the_same_bits(shape, shuffled, poisoned):
    case = attention_case(*shape, lengths=[shape[2], 5])
    results = []
    for seed in (None, 0):
        shuffled(seed)
        outputs, grads = gradients(attention(case, "triton"), case.differentiable)
        results.append([*outputs, *grads])
    for again in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], again, strict=True))


@pytest.mark.prove
@pytest.mark.parametrize("queries", [1, 10])
def test_any_subset_of_gradients_is_what_it_is_among_all(queries):
    case = attention_case(1, queries, 5, 6, 3)
    query, keys, values, v = (t.detach() for t in case.differentiable)
    grad = torch.randn(1, queries, 3)
    raw = torch.ops.seq2seq_fast_triton
    source = (keys, values, *raw.key_exponentials(keys), v, None, None)
    context, weights, logsumexp = raw.attend_forward(query, *source, True)

    def backward(*needs):
        return raw.attend_backward(grad, None, query, *source, context, weights, logsumexp, needs)

    every = backward(True, True, True, True)
    for needs in itertools.product((False, True), repeat=4):
        for found, wanted, needed in zip(backward(*needs), every, needs, strict=True):
            if needed:
                assert_near(found, wanted, error=0, roundings=8)
            else:
                assert found.numel() == 0


def strange(t):
    """The same numbers in a layout that no kernel expects: every second column, and not neighbours in memory."""
    wide = torch.full((*t.shape[:-1], 2 * t.shape[-1] + 3), float("nan"), dtype=t.dtype)
    wide[..., 3::2] = t.detach()
    return wide[..., 3::2].requires_grad_()


@pytest.mark.parametrize("queries", [1, proved(10)])
def test_inputs_and_cotangents_of_any_layout(queries):
    case = attention_case(3, queries, 6, 9, 5, lengths=[6, 2, 4], mask=[[True, True, False, True, True, False]] * 3)
    wanted, wanted_grads = gradients(attention(case, "triton"), case.differentiable)
    case.mask = torch.stack([case.mask, ~case.mask], 2)[..., 0]
    case.lengths = torch.stack([case.lengths, -case.lengths], 1)[:, 0]
    found, grads = gradients(
        lambda *t: [o.transpose(0, 2).contiguous().transpose(0, 2) for o in attention(case, "triton")(*t)],
        [strange(t) for t in case.differentiable],
    )
    for a, b in zip((*found, *grads), (*wanted, *wanted_grads), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("queries", [1, proved(10)])
def test_expanded_inputs_collect_the_gradients_of_all_their_places(queries):
    case = attention_case(1, queries, 6, 9, 5, lengths=[6, 2, 4])
    case.lengths = torch.tensor([6, 2, 4])

    def expanded(backend):
        def function(query, keys, values, v):
            rows = (t.expand(3, -1, -1) for t in (query, keys, values))
            context, weights = attention(case, backend)(*rows, v)
            return [context.sum(0), weights]

        return function

    found, grads = gradients(expanded("triton"), case.differentiable)
    truth, true_grads = gradients(expanded("reference"), double(case.differentiable))
    error = 4 * score_error(case.v)
    for a, b in zip((*found, *grads), (*truth, *true_grads), strict=True):
        assert_near(a, b, error=8 * error, roundings=4)
