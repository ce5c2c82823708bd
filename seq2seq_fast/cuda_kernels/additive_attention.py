"""Attention forward and backward; see ``csrc/cuda/additive_attention.cu`` and ``additive_attention_backward.cu``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seq2seq_fast.cuda_kernels.additive_score import attention_chunk, score_gradients, softmax_scores
from seq2seq_fast.cuda_kernels.engine import Engine, dtype_of
from seq2seq_fast.raw.attention import AttendBackward, Source
from seq2seq_fast.raw.tensors import acc_empty, asked, contiguous

# Where backward recomputes the weights it works through the queries in parts of at most this many weights.
MOST_RECOMPUTED_WEIGHTS = 2**24


def attend_forward(
    engine: Engine,
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
    source = Source(*contiguous(keys, values, exponentials, in_range, v, lengths, mask))
    batch, queries, _ = query.shape
    context = values.new_empty(batch, queries, values.shape[2])
    weights = acc_empty(query, batch, queries, keys.shape[1]) if need_weights else acc_empty(query, 0)
    logsumexp = acc_empty(query, batch, queries)
    attend_into(engine, query.contiguous(), source, context, weights if need_weights else None, logsumexp)
    return context, weights, logsumexp


def attend_into(
    engine: Engine,
    query: Tensor,
    source: Source,
    context: Tensor,
    weights: Tensor | None,
    logsumexp: Tensor,
    partial: Tensor | None = None,
) -> None:
    """:func:`attend_forward` into given contiguous tensors.

    query [B, Tq, A] may have any distance between its rows if Tq is 1; ``source`` is
    contiguous; ``partial`` is what :func:`partial_contexts` gives, made here if absent.
    """
    keys, values, exponentials, in_range, v, lengths, mask = source
    batch, queries, units = query.shape
    if partial is None:
        partial = partial_contexts(engine, batch, queries, keys, values)
    chunk = attention_chunk(engine, keys, batch, queries, keys.shape[1])
    engine.launch(
        "attend_forward", keys, dtype_of(keys), query, keys, values, exponentials, in_range, v, lengths, mask,
        context, weights, logsumexp, partial if partial.numel() else None, query.stride(0) if queries == 1 else units,
        batch, queries, keys.shape[1], units, values.shape[2], chunk, engine.device(keys).shared_bytes,
    )  # fmt: skip


def partial_contexts(engine: Engine, batch: int, queries: int, keys: Tensor, values: Tensor) -> Tensor:
    """Room for the chunks of a source, empty where one chunk holds it."""
    chunk = attention_chunk(engine, keys, batch, queries, keys.shape[1])
    chunks = -(-keys.shape[1] // chunk)
    return acc_empty(keys, chunks * (2 + values.shape[2]) * batch * queries if chunks > 1 else 0)


def attend_backward(engine: Engine, *arguments: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of query, keys, values and v; arguments as the schema has them."""
    grad_context, grad_weights, query, source, _, weights, logsumexp, needs = AttendBackward.of(*arguments)
    keys, values, exponentials, in_range, v, lengths, mask = source
    need_query, need_keys, need_values, need_v = needs
    batch, queries, _ = query.shape
    positions = keys.shape[1]
    given = weights.dim() == 3
    part = queries if given else max(1, MOST_RECOMPUTED_WEIGHTS // max(1, batch * positions))
    total: list[Tensor | None] = [None] * 4
    for first in range(0, max(queries, 1), max(part, 1)):
        some = slice(first, first + part)
        rows, grad = query[:, some].contiguous(), grad_context[:, some].to(values.dtype).contiguous()
        if given:
            softmax, denominators = weights[:, some].contiguous(), None
        else:
            softmax = softmax_scores(engine, rows, keys, exponentials, in_range, v)
            denominators = logsumexp[:, some].contiguous()
        through = None if grad_weights is None else grad_weights[:, some].float().contiguous()
        grad_scores = score_gradient(engine, grad, through, values, softmax, denominators, lengths, mask)
        grads = list(score_gradients(engine, grad_scores, rows, keys, v, (need_query, need_keys, need_v)))
        grads.insert(2, values_gradient(engine, grad, softmax, values) if need_values else None)
        total = _add(total, grads)
    pairs = zip(total, (query, keys, values, v), strict=True)
    return asked([None if g is None else g.to(t.dtype) for g, t in pairs], query)


def _add(total, grads):
    """Another part of the queries: their gradients stand behind the others', the rest adds up."""
    if all(t is None for t in total):
        return grads
    query = None if grads[0] is None else torch.cat([total[0], grads[0]], dim=1)
    return [query, *(None if g is None else t.float() + g.float() for t, g in zip(total[1:], grads[1:], strict=True))]


def score_gradient(
    engine: Engine,
    grad_context: Tensor,
    through_weights: Tensor | None,
    values: Tensor,
    weights: Tensor,
    logsumexp: Tensor | None,
    lengths: Tensor | None,
    mask: Tensor | None,
    out: Tensor | None = None,
) -> Tensor:
    """Gradient of the scores [B, Tq, Tx]. With logsumexp, ``weights`` holds scores and becomes the weights."""
    batch, queries, size = grad_context.shape
    positions = values.shape[1]
    grads = acc_empty(values, batch, queries, positions) if out is None else out
    engine.launch(
        "attend_backward_weights", values, dtype_of(values), grad_context, values, through_weights, grads, batch,
        queries, positions, size, attention_chunk(engine, values, batch, queries, positions),
        engine.device(values).shared_bytes,
    )  # fmt: skip
    engine.launch(
        "attend_backward_softmax", values, weights, grads, logsumexp, lengths, mask, batch, queries, positions
    )
    return grads


def values_gradient(engine: Engine, grad_context: Tensor, weights: Tensor, values: Tensor) -> Tensor:
    """weights^T grad_context, [B, Tx, D]."""
    batch, queries, size = grad_context.shape
    grad_values = torch.empty_like(values)
    engine.launch(
        "attend_backward_values", values, dtype_of(values), grad_context, weights, grad_values, batch, queries,
        values.shape[1], size,
    )  # fmt: skip
    return grad_values
