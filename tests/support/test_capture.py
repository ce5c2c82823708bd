import pytest
import torch

from tests.support.capture import NothingReadOnTheHost


@pytest.mark.parametrize(
    "call",
    [torch.Tensor.item, torch.Tensor.nonzero, lambda t: t[t > 0], bool, lambda t: torch.tensor([1.0])],
    ids=["item", "nonzero", "mask", "bool", "from a list"],
)
def test_what_needs_the_host_is_refused(call):
    with NothingReadOnTheHost(), pytest.raises(AssertionError, match="numbers to the host, or from there"):
        call(torch.ones(1))


def test_what_does_not_is_computed():
    with NothingReadOnTheHost():
        assert torch.ones(2).mul(3)[torch.arange(1)].shape == (1,)
