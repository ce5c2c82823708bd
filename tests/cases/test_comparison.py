import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seq2seq_fast.cases.comparison import EXACT, Bound, Comparison, compare, compare_bits, compare_zeros, worst

DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
NAN, INF = math.nan, math.inf


@given(
    truth=st.lists(st.floats(-8, 8, width=16), min_size=1, max_size=6),
    off=st.floats(0, 1, width=16),
    allowed=st.floats(0, 1, width=16),
)
def test_a_tensor_passes_where_its_largest_difference_is_allowed(truth, off, allowed):
    truth = torch.tensor(truth, dtype=torch.float64)
    found = truth.clone()
    found[-1] += off
    comparison = compare("context", "", found, truth, Bound(absolute=allowed))
    assert comparison.error == pytest.approx(off, abs=1e-12)
    assert comparison.passed == (comparison.error <= allowed)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_bound_is_relative_to_the_largest_entry_and_to_the_dtype(dtype):
    truth = torch.tensor([4.0, 0.0], dtype=torch.float64)
    comparison = compare("context", "", truth.to(dtype), truth, Bound(relative=0.5, roundings=2))
    assert comparison.allowed == pytest.approx(4 * (0.5 + 2 * torch.finfo(dtype).eps))


def test_zeros_are_demanded_where_truth_is_zero_everywhere():
    assert not compare("", "", torch.tensor([1e-30]), torch.zeros(1), Bound(relative=1, roundings=9)).passed


@pytest.mark.parametrize(
    ("found", "remark"),
    [
        ([NAN, 1.0, INF], ""),
        ([NAN, NAN, INF], "NaN or infinite where truth is finite"),
        ([0.0, 1.0, INF], "finite where truth is NaN or infinite"),
        ([NAN, 1.0, -INF], "NaN and infinities in places of one another"),
        ([INF, 1.0, INF], "NaN and infinities in places of one another"),
        ([1.0, 2.0], "shape (2,), wanted (3,)"),
    ],
)
def test_nan_and_infinities_must_stand_where_truth_has_them(found, remark):
    comparison = compare("", "", torch.tensor(found), torch.tensor([NAN, 1.0, INF]), EXACT)
    assert comparison.remark == remark
    assert comparison.passed == (not remark)


def test_what_truth_has_as_exactly_zero_must_be_exactly_zero():
    truth = torch.tensor([0.0, 1.0])
    assert compare_zeros("", "", torch.tensor([0.0, 0.5]), truth).passed
    assert not compare_zeros("", "", torch.tensor([1e-30, 1.0]), truth).passed
    assert not compare_zeros("", "", torch.tensor([NAN, 1.0]), truth).passed


def test_bits_differ_in_the_last_place_and_nan_is_never_equal():
    one = torch.tensor([1.0, -INF])
    assert compare_bits("", "", one, one.clone()).passed
    after = torch.nextafter(one, torch.tensor(2.0))
    assert compare_bits("", "", one, after).remark == "two runs differ"
    assert "never written" in compare_bits("", "", torch.tensor([NAN]), torch.tensor([NAN])).remark


def test_the_worst_uses_the_largest_share_and_not_the_largest_error():
    near, far = Comparison("near", "", 9.0, 10.0), Comparison("far", "", 99.0, 1000.0)
    assert worst([far, near]) is near
    assert worst([near, Comparison("wrong", "", NAN, 1.0)]).tensor == "wrong"
    assert worst([]) is None
