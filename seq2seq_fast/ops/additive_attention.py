"""Additive attention: score, mask, softmax and context in one operator."""

from __future__ import annotations

from torch import Tensor

from seq2seq_fast import reference
from seq2seq_fast.ops.attention_memory import AttentionMemory, attended_positions, make_memory
from seq2seq_fast.ops.autograd import cast_like, needs_grad, no_autocast
from seq2seq_fast.ops.backends import choose_backend, raw
from seq2seq_fast.ops.checks import check_alike, check_tensor
from seq2seq_fast.ops.derivatives import declare_derivative


def attend(
    query: Tensor, memory: AttentionMemory, v: Tensor, *, need_weights: bool = True, backend: str | None = None
) -> tuple[Tensor, Tensor | None]:
    """Attend to a memory with additive scores.

    ``weights_ij = softmax_j(v^T tanh(query_i + keys_j))``, ``context_i = sum_j weights_ij values_j`` (Bahdanau, Cho,
    Bengio 2014, arXiv 1409.0473, section 3.1). Masked positions get weight exactly 0; a row with nothing to attend
    gets a zero context and zero weights.

    Args:
        query: [B, A], or [B, Tq, A] for many queries (or beams) a source.
        memory: from :func:`seq2seq_fast.attention_memory`.
        v: [A].
        need_weights: return the weights, which are differentiable. Without them memory is linear in Tq + Tx.
        backend: "reference", "cpu", "triton" or "cuda"; by default chosen from the device.

    Returns:
        context [B, D] or [B, Tq, D], and weights [B, Tx] or [B, Tq, Tx] (None without ``need_weights``).

    Raises:
        TypeError, ValueError: an argument's type, dtype, device or shape is wrong, or the backend cannot serve it.
    """
    query, v = prepare_query(query, memory, v)
    single = query.dim() == 2
    if single:
        query = query.unsqueeze(1)
    context, weights = attend_prepared(query, memory, v, need_weights, choose_backend(backend, memory.keys))
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
    need_weights: bool = True,
    backend: str | None = None,
) -> tuple[Tensor, Tensor | None]:
    """:func:`attend` on a memory made for this one call; see there and :func:`seq2seq_fast.attention_memory`.

    Args:
        query: [B, A] or [B, Tq, A].
        keys: [B, Tx, A].
        values: [B, Tx, D].
        v: [A].
        lengths: [B] integers from 0 to Tx.
        mask: [B, Tx] bool, True attends.

    Returns:
        context [B, D] or [B, Tq, D], weights [B, Tx] or [B, Tq, Tx] (None without ``need_weights``).
    """
    check_tensor("keys", keys, "[B, Tx, A]", None, None, None)
    memory = make_memory(keys, values, lengths, mask, backend=choose_backend(backend, keys))
    return attend(query, memory, v, need_weights=need_weights, backend=backend)


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


def attend_prepared(
    query: Tensor, memory: AttentionMemory, v: Tensor, need_weights: bool, backend: str
) -> tuple[Tensor, Tensor | None]:
    """:func:`attend` after the checks: query [B, Tq, A], backend chosen."""
    keys, values = memory.keys, memory.values
    with no_autocast(query.device.type):
        if backend == "reference":
            context, weights = reference.attend(query, keys, values, v, memory.attended)
            return context, weights if need_weights else None
        # One query's weights are as small as its softmax's denominator is useful: keep them and recompute nothing.
        recorded = needs_grad(query, keys, values, v)
        keep_weights = need_weights or (recorded and query.shape[1] == 1)
        context, weights, _ = raw(backend).attend_forward(
            query, keys, values, *fused_source(memory, backend), v, memory.lengths, memory.mask, keep_weights
        )
        # A copy, so that what is handed out can be changed in place without touching what backward reads.
        return context, weights.to(query.dtype, copy=recorded) if need_weights else None


def _formula(query, keys, values, v, lengths, mask, **_):
    return reference.attend(query, keys, values, v, attended_positions(keys, lengths, mask))


declare_derivative("attend_forward", _formula, ("context", "weights"), "query", "keys", "values", "v")
