"""The one comparison, as an assertion, for calls that are no case of the registry."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from seq2seq_fast.cases import evaluate
from seq2seq_fast.cases.attention import score_error
from seq2seq_fast.cases.comparison import Bound, Comparison, compare

__all__ = ["assert_all", "assert_near", "double", "gradients", "score_error"]


def assert_near(actual: Tensor, truth: Tensor, *, error: float, roundings: int = 1, name: str = "") -> None:
    """``actual`` is within ``error`` and this many roundings of its dtype of ``truth``, relative to the largest entry.

    NaN must stand where truth has NaN, infinities where truth has them. An all-zero truth demands zeros.
    """
    assert_all([compare(name, "", actual, truth, Bound(relative=error, roundings=roundings))])


def assert_all(comparisons: Sequence[Comparison]) -> None:
    wrong = [comparison.explanation for comparison in comparisons if not comparison.passed]
    assert comparisons and not wrong, wrong


def double(tensors: Sequence[Tensor | None]) -> list[Tensor | None]:
    """float64 copies on the CPU that require gradients where the originals do."""

    def copy(t: Tensor) -> Tensor:
        return t.detach().double().cpu().requires_grad_(t.requires_grad) if t.is_floating_point() else t.cpu()

    return [None if t is None else copy(t) for t in tensors]


def gradients(function: Callable[..., Sequence[Tensor | None]], inputs: Sequence[Tensor | None], seed: int = 0):
    """Outputs of ``function(*inputs)`` and the gradients of a random projection of all of them."""
    outputs = [output for output in function(*inputs) if output is not None]
    wanted = [tensor for tensor in inputs if tensor is not None and tensor.requires_grad]
    return outputs, evaluate.gradients(outputs, wanted, evaluate.projections(outputs, seed))
