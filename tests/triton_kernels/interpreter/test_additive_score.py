import pytest
import torch

from tests.support.cases import attention_case
from tests.support.engines import dtype_name
from tests.support.truth import gradients
from tests.triton_kernels.comparisons import DTYPES, assert_score, cancelling_case, score


@pytest.mark.parametrize("dtype", DTYPES, ids=dtype_name)
@pytest.mark.parametrize("shape", [(2, 1, 37, 33, 1), (1, 3, 5, 1, 1), (2, 10, 19, 17, 1)], ids=str)
def test_scores_and_gradients_match_float64_truth(shape, dtype, poisoned):
    assert_score(attention_case(*shape, dtype=dtype))


@pytest.mark.parametrize("queries", [None, 10])
def test_scores_beyond_the_exponentials_range_match_truth(queries):
    assert_score(cancelling_case(queries, 60.0))


@pytest.mark.parametrize("queries", [1, 10])
def test_programs_in_any_order_give_the_same_bits(queries, shuffled, poisoned):
    case = attention_case(2, queries, 19, 9, 1)
    results = []
    for seed in (None, 0):
        shuffled(seed)
        outputs, grads = gradients(score(case, "triton"), case.differentiable)
        results.append([*outputs, *grads])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
