"""Key exponentials and scores; see ``csrc/cuda/additive_score.cu`` and ``additive_score_backward.cu``."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from seq2seq_fast.cuda_kernels.engine import Engine, dtype_of
from seq2seq_fast.raw.tensors import acc_empty, asked, contiguous


def key_exponentials(engine: Engine, keys: Tensor) -> tuple[Tensor, Tensor]:
    keys = keys.contiguous()
    batch, elements = keys.shape[0], keys.shape[1] * keys.shape[2]
    exponentials = acc_empty(keys, *keys.shape)
    parts = engine.module.key_exponentials_parts(elements)
    in_range = torch.empty(batch, parts, dtype=torch.bool, device=keys.device)
    engine.launch("key_exponentials", keys, dtype_of(keys), keys, exponentials, in_range, batch, elements)
    return exponentials, in_range.all(1)


def additive_score_forward(
    engine: Engine, query: Tensor, keys: Tensor, exponentials: Tensor, in_range: Tensor, v: Tensor
) -> Tensor:
    scores = query.new_empty(*query.shape[:2], keys.shape[1])
    return _scores(engine, query, keys, exponentials, in_range, v, scores, for_softmax=False)


def softmax_scores(
    engine: Engine, query: Tensor, keys: Tensor, exponentials: Tensor, in_range: Tensor, v: Tensor
) -> Tensor:
    """Scores [B, Tq, Tx] in float32 without their constant sum(v), which a softmax does not see."""
    scores = acc_empty(query, *query.shape[:2], keys.shape[1])
    return _scores(engine, query, keys, exponentials, in_range, v, scores, for_softmax=True)


def _scores(engine, query, keys, exponentials, in_range, v, scores, for_softmax):
    query, keys, exponentials, in_range, v = contiguous(query, keys, exponentials, in_range, v)
    batch, queries, units = query.shape
    engine.launch(
        "additive_score_forward", keys, dtype_of(keys), query, keys, exponentials, in_range, v, scores, for_softmax,
        batch, queries, keys.shape[1], units, attention_chunk(engine, keys, batch, queries, keys.shape[1]),
        engine.device(keys).shared_bytes,
    )  # fmt: skip
    return scores


def attention_chunk(engine: Engine, like: Tensor, batch: int, queries: int, positions: int) -> int:
    """Positions of a source that one block takes, so that the tensor's device has enough to do."""
    return engine.module.attention_chunk(batch, queries, positions, engine.device(like).multiprocessors)


def additive_score_backward(
    engine: Engine,
    grad_scores: Tensor,
    query: Tensor,
    keys: Tensor,
    exponentials: Tensor,
    in_range: Tensor,
    v: Tensor,
    needs: Sequence[bool],
) -> tuple[Tensor, Tensor, Tensor]:
    grads = score_gradients(engine, grad_scores.float().contiguous(), query, keys, v, needs)
    return asked(grads, query)


def score_gradients(
    engine: Engine, grad_scores: Tensor, query: Tensor, keys: Tensor, v: Tensor, needs: Sequence[bool]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Gradients of query, keys and v, None where not needed; grad_scores [B, Tq, Tx] is float32 of any strides."""
    query, keys, v = contiguous(query, keys, v)
    need_query, need_keys, need_v = needs
    over_batch, over_queries, over_positions = grad_scores.stride()
    grad_query = grad_keys = grad_v = None
    if need_query or need_v:
        strides = (over_batch, over_queries, over_positions)
        grad_query, grad_v = _owned(engine, query, keys, v, grad_scores, strides, need_query, need_v)
    if need_keys:
        strides = (over_batch, over_positions, over_queries)
        grad_keys, _ = _owned(engine, keys, query, v, grad_scores, strides, True, False)
    return grad_query, grad_keys, grad_v


def _owned(engine, own, other, v, grad, strides, need_own, need_v):
    batch, rows, units = own.shape
    others = other.shape[1]
    grad_own = torch.empty_like(own) if need_own else None
    aligned = all(t.data_ptr() % 16 == 0 for t in (own, other, v) if t.numel())
    splits, rows_of_v = engine.module.score_backward_plan(
        dtype_of(own), batch, rows, others, units, aligned, engine.device(own).multiprocessors
    )
    partial = acc_empty(own, splits, *own.shape) if need_own and splits > 1 else None
    partial_v = acc_empty(own, rows_of_v, units) if need_v else None
    engine.launch(
        "additive_score_backward", own, dtype_of(own), own, other, v, grad, *strides,
        grad_own if partial is None else None, partial, partial_v, batch, rows, others, units, splits, aligned,
    )  # fmt: skip
    if partial is not None:
        grad_own = partial.sum(0).to(own.dtype)
    return grad_own, None if partial_v is None else partial_v.sum(0).to(v.dtype)
