"""The raw operators of additive attention: which kernels serve a call, and their results as the schemas name them.

Their arguments stand one by one, as in the schemas: torch makes the operators' schemas from these very signatures.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from seq2seq_fast.raw.attention import Source
from seq2seq_fast.raw.tensors import asked, contiguous
from seq2seq_fast.triton_kernels import launch
from seq2seq_fast.triton_kernels.many_queries import attend_many_queries
from seq2seq_fast.triton_kernels.many_queries_backward import attend_many_queries_backward
from seq2seq_fast.triton_kernels.one_query import attend_one_query
from seq2seq_fast.triton_kernels.one_query_backward import attend_one_query_backward


def attend_forward(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    exponentials: Tensor,
    in_range: Tensor,
    v: Tensor,
    lengths: Tensor | None,
    mask: Tensor | None,
    need_weights: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Few queries a source: one pass each. Many: scores in tiles."""
    query, *rest = contiguous(query, keys, values, exponentials, in_range, v, lengths, mask)
    attend = attend_one_query if query.shape[1] <= launch.FEW_QUERIES else attend_many_queries
    return attend(query, Source(*rest), need_weights)


def attend_backward(
    grad_context: Tensor,
    grad_weights: Tensor | None,
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    exponentials: Tensor,
    in_range: Tensor,
    v: Tensor,
    lengths: Tensor | None,
    mask: Tensor | None,
    context: Tensor,
    weights: Tensor,
    logsumexp: Tensor,
    needs: Sequence[bool],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of query, keys, values and v."""
    grad_context, grad_weights, query, *rest = contiguous(
        grad_context, grad_weights, query, keys, values, exponentials, in_range, v, lengths, mask
    )
    source = Source(*rest)
    kept = weights if weights.dim() == 3 else None
    if query.shape[1] == 1 and kept is not None:
        gradients = attend_one_query_backward(grad_context, grad_weights, query, source, kept, needs)
    else:
        gradients = attend_many_queries_backward(
            grad_context, grad_weights, query, source, kept, logsumexp, needs
        )  # fmt: skip
    return asked(gradients, query)
