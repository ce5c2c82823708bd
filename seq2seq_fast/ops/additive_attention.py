"""Additive attention: score, mask, softmax and context in one operator."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from seq2seq_fast import reference
from seq2seq_fast.ops.attention_memory import AttentionMemory, attended_positions, make_memory
from seq2seq_fast.ops.autograd import cast_like, needs_grad, no_autocast
from seq2seq_fast.ops.backends import choose_backend, raw
from seq2seq_fast.ops.checks import as_lengths, check_alike, check_tensor
from seq2seq_fast.ops.derivatives import declare_derivative
from seq2seq_fast.ops.features import Features, check_features, choose_feature_backend
from seq2seq_fast.ops.positions import Positions, positions_of
from seq2seq_fast.ops.weighting import Weighting, check_bias
from seq2seq_fast.reference.precision import accumulation_dtype


def attend(
    query: Tensor,
    memory: AttentionMemory,
    v: Tensor,
    *,
    lengths: Tensor | None = None,
    mask: Tensor | None = None,
    history: Tensor | None = None,
    filters: Tensor | None = None,
    activation: str = "tanh",
    normalization: str = "softmax",
    bias: Tensor | None = None,
    clip: float | None = None,
    dropout: float = 0.0,
    need_weights: bool = True,
    backend: str | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Attend to a memory with additive scores.

    ``weights_ij = softmax_j(v^T tanh(query_i + keys_j))``, ``context_i = sum_j weights_ij values_j`` (Bahdanau, Cho,
    Bengio 2014, arXiv 1409.0473, section 3.1). Masked positions get weight exactly 0; a row with nothing to attend
    gets a zero context and zero weights.

    ``lengths`` and ``mask`` limit this call beyond the memory's own; the memory stays as it is. Causal attention is
    ``lengths=torch.arange(1, Tq + 1).expand(B, Tq)``. Limits that differ between the queries of a source, another
    normalization, clipping and dropout take the scores from the backend's kernel and do the rest in PyTorch, with
    [B, Tq, Tx] in memory.

    Args:
        query: [B, A], or [B, Tq, A] for many queries (or beams) a source.
        memory: from :func:`seq2seq_fast.attention_memory`.
        v: [A].
        lengths: [B], or [B, Tq] for each query its own. Integers from 0 to Tx: positions from there on are masked.
        mask: [B, Tx], [B, 1, Tx], or [B, Tq, Tx] for each query its own. bool, True attends.
        history: [B, C, Tx], or [B, Tq, C, Tx] with many queries: where was attended before, in C channels such as the
            last weights and their sum. The unit becomes ``tanh(query_i + keys_j + sum_ct filters_ct history_c,j+t)``
            (Chorowski et al. 2015, arXiv 1506.07503). Differentiable; detach it to stop the gradient.
        filters: [A, C, W], W odd: how history is read around a position, zeros beyond both ends. Filters [F, C, W] with
            a projection [A, F] behind them are the product of both.
        activation: "tanh", or "relu" in its place. The CPU engine has a kernel for history and ReLU; on a GPU the
            scores are then the reference's, which stores [B, Tq, Tx, A].
        normalization: "softmax"; "sigmoid", each score's sigmoid divided by the sum of all; or "none", the scores as
            they are.
        bias: one number, [] or [1], added to every score. It changes nothing in a plain softmax.
        clip: C makes the score ``C tanh(score)``, bias included, before it is masked.
        dropout: the probability with which a weight becomes 0; the others grow by ``1 / (1 - dropout)``. Drawn from
            torch's generator, so ``torch.manual_seed`` repeats it. Give 0, the default, outside of training.
        need_weights: return the weights, which are differentiable. Without them memory is linear in Tq + Tx.
        backend: "reference", "cpu", "triton" or "cuda"; by default chosen from the device.

    Returns:
        context [B, D] or [B, Tq, D], and weights [B, Tx] or [B, Tq, Tx] (None without ``need_weights``).

    Raises:
        TypeError, ValueError: an argument's type, dtype, device or shape is wrong, or the backend cannot serve it.
    """
    query, v = prepare_query(query, memory, v)
    (bias,) = cast_like(memory.keys, bias)
    check_bias(bias, v)
    weighting = Weighting(normalization, bias, clip, dropout)
    features = check_features(history, filters, activation, memory, query)
    single = query.dim() == 2
    if single:
        query = query.unsqueeze(1)
    positions = positions_of(memory, query.shape[1], lengths, mask)
    chosen = choose_backend(backend, memory.keys) if features.plain else choose_feature_backend(backend, memory)
    if weighting.plain and features.plain and not positions.per_query:
        context, weights = attend_prepared(query, memory, v, positions, need_weights, chosen)
    else:
        context, weights = _attend_scored(query, memory, v, positions, features, weighting, chosen)
        weights = weights if need_weights else None
    if single:
        context, weights = context.squeeze(1), None if weights is None else weights.squeeze(1)
    return context, weights


def additive_attention(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    v: Tensor,
    *,
    lengths: Tensor | None = None,
    mask: Tensor | None = None,
    normalization: str = "softmax",
    bias: Tensor | None = None,
    clip: float | None = None,
    dropout: float = 0.0,
    need_weights: bool = True,
    backend: str | None = None,
) -> tuple[Tensor, Tensor | None]:
    """:func:`attend` on a memory made for this one call; see there and :func:`seq2seq_fast.attention_memory`.

    Args:
        query: [B, A] or [B, Tq, A].
        keys: [B, Tx, A].
        values: [B, Tx, D].
        v: [A].
        lengths: [B], or [B, Tq] for each query its own. Integers from 0 to Tx.
        mask: [B, Tx], [B, 1, Tx], or [B, Tq, Tx] for each query its own. bool, True attends.
        normalization, bias, clip, dropout, need_weights, backend: as in :func:`attend`.

    Returns:
        context [B, D] or [B, Tq, D], weights [B, Tx] or [B, Tq, Tx] (None without ``need_weights``).
    """
    check_tensor("keys", keys, "[B, Tx, A]", None, None, None)
    chosen = choose_backend(backend, keys)
    # What holds for a whole source belongs to the memory, which keeps padding out of every product.
    lengths, of_source = as_lengths(lengths), {}
    if lengths is not None and lengths.dim() == 1:
        of_source["lengths"], lengths = lengths, None
    if isinstance(mask, Tensor) and (mask.dim() == 2 or (mask.dim() == 3 and mask.shape[1] == 1)):
        of_source["mask"], mask = mask, None
    memory = make_memory(keys, values, **of_source, backend=chosen)
    return attend(
        query, memory, v, lengths=lengths, mask=mask, normalization=normalization, bias=bias, clip=clip,
        dropout=dropout, need_weights=need_weights, backend=chosen,
    )  # fmt: skip


def prepare_query(query: Tensor, memory: AttentionMemory, v: Tensor) -> tuple[Tensor, Tensor]:
    """Check a query and v against a memory; under autocast both in the memory's dtype."""
    if not isinstance(memory, AttentionMemory):
        raise TypeError(f"memory must be an AttentionMemory, made by attention_memory(); got {type(memory).__name__}")
    size = memory.keys.shape[2]
    if isinstance(query, Tensor) and query.dim() == 2:
        check_tensor("query", query, "[B, A]", memory.batch, size)
    else:
        check_tensor("query", query, "[B, A] or [B, Tq, A]", memory.batch, None, size)
    check_tensor("v", v, "[A]", size)
    query, v = cast_like(memory.keys, query, v)
    check_alike("keys", memory.keys, query=query, v=v)
    return query, v


def fused_source(memory: AttentionMemory, backend: str) -> tuple[Tensor, Tensor]:
    """The memory's exponentials and in_range, made now if it was prepared for the reference."""
    if memory.exponentials is None or memory.in_range is None:
        return raw(backend).key_exponentials(memory.keys)
    return memory.exponentials, memory.in_range


def prepared_scores(query: Tensor, memory: AttentionMemory, v: Tensor, features: Features, backend: str) -> Tensor:
    """Scores [B, Tq, Tx] of query [B, Tq, A], nothing masked, after the checks."""
    if not features.plain:
        return features.scores(query, memory.keys, v, backend)
    if backend == "reference":
        with no_autocast(query.device.type):
            return reference.additive_score(query, memory.keys, v)
    return raw(backend).additive_score_forward(query, memory.keys, *fused_source(memory, backend), v)


def _attend_scored(
    query: Tensor,
    memory: AttentionMemory,
    v: Tensor,
    positions: Positions,
    features: Features,
    weighting: Weighting,
    backend: str,
) -> tuple[Tensor, Tensor]:
    """The scores from the backend's kernel, their weighting and the context in PyTorch: query [B, Tq, A]."""
    dtype = accumulation_dtype(query.dtype)
    if dtype != query.dtype:  # in 16 bits a score would be rounded before the softmax
        query, v, memory = query.to(dtype), v.to(dtype), replace(memory, keys=memory.keys.to(dtype))
        features = features.to(dtype)
    with no_autocast(query.device.type):
        weights = weighting.weights(prepared_scores(query, memory, v, features, backend), positions.attended)
        context = torch.bmm(weights, memory.values.to(dtype))
    return context.to(memory.values.dtype), weights.to(memory.values.dtype)


def attend_prepared(
    query: Tensor, memory: AttentionMemory, v: Tensor, positions: Positions, need_weights: bool, backend: str
) -> tuple[Tensor, Tensor | None]:
    """:func:`attend` after the checks, by one operator of the backend: query [B, Tq, A]."""
    keys, values = memory.keys, memory.values
    with no_autocast(query.device.type):
        if backend == "reference":
            context, weights = reference.attend(query, keys, values, v, positions.attended)
            return context, weights if need_weights else None
        # One query's weights are as small as its softmax's denominator is useful: keep them and recompute nothing.
        recorded = needs_grad(query, keys, values, v)
        keep_weights = need_weights or (recorded and query.shape[1] == 1)
        context, weights, _ = raw(backend).attend_forward(
            query, keys, values, *fused_source(memory, backend), v, positions.lengths, positions.mask, keep_weights
        )
        # A copy, so that what is handed out can be changed in place without touching what backward reads.
        return context, weights.to(query.dtype, copy=recorded) if need_weights else None


def _formula(query, keys, values, v, lengths, mask, **_):
    return reference.attend(query, keys, values, v, attended_positions(keys, lengths, mask))


declare_derivative("attend_forward", _formula, ("context", "weights"), "query", "keys", "values", "v")
