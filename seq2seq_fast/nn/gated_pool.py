"""Gated pooling of bags of any size in one pass: nothing of the size of all units at all instances is kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from seq2seq_fast.ops.autograd import no_autocast
from seq2seq_fast.reference.additive_attention import masked_softmax
from seq2seq_fast.reference.precision import accumulation_dtype

# How many units stand in memory at once: large enough for products and threads, small beside a bag's.
UNITS_AT_ONCE = 2**18

Weights = tuple[Tensor, Tensor | None, Tensor | None, Tensor | None, Tensor, Tensor | None]


def gated_pool_reference(values: Tensor, weights: Weights, attended: Tensor | None) -> tuple[Tensor, Tensor]:
    """``s_kj = w_k^T (tanh(V x_j + b) * sigmoid(U x_j + c)) + d_k``, ``context_k = sum_j softmax_j(s_k)_j x_j``.

    Ilse, Tomczak, Welling 2018, "Attention-based Deep Multiple Instance Learning", arXiv 1802.04712, equations 8 and 9.
    values [B, N, D], weights (V [A, D], b, U or None, c, w [K, A], d), attended [B, N] bool -> context [B, K, D],
    scores [B, K, N], of masked instances too. Values must be finite.
    """
    dtype = accumulation_dtype(values.dtype)
    units, _, _ = _units(values, weights)
    scores = F.linear(units, weights[4].to(dtype), _to(weights[5], dtype)).transpose(1, 2)
    context = torch.bmm(masked_softmax(scores, attended), values.to(dtype))
    return context, scores


def gated_pool(values: Tensor, weights: Weights, attended: Tensor | None) -> tuple[Tensor, Tensor]:
    """:func:`gated_pool_reference` by chunks: an online softmax forward, and units made again backward.

    Values of masked instances may be anything.
    """
    with no_autocast(values.device.type):
        return _GatedPool.apply(values, *weights, attended)


class _GatedPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
        weights, attended = rest[:6], rest[6]
        dtype = accumulation_dtype(values.dtype)
        (batch, instances, size), heads = values.shape, weights[4].shape[0]
        scores = values.new_empty(batch, heads, instances, dtype=dtype)
        largest = values.new_full((batch, heads, 1), -torch.inf, dtype=dtype)
        total, context = torch.zeros_like(largest), values.new_zeros(batch, heads, size, dtype=dtype)
        w, d = weights[4].to(dtype), _to(weights[5], dtype)
        for chunk in _chunks(values, weights):
            part, inside = _zeroed(values, attended, chunk)
            units, _, _ = _units(part, weights)
            score = F.linear(units, w, d).transpose(1, 2)
            scores[:, :, chunk] = score
            if inside is not None:
                score = score.masked_fill(~inside.unsqueeze(1), -torch.inf)
            # The largest score so far, 0 before there is one: what was added is brought to it.
            now = torch.maximum(largest, score.amax(2, keepdim=True))
            base = now.masked_fill(now == -torch.inf, 0)
            shrink, exponentials = torch.exp(largest - base), torch.exp(score - base)
            total = total * shrink + exponentials.sum(2, keepdim=True)
            context = context * shrink + torch.bmm(exponentials, part.to(dtype))
            largest = now
        logarithm = largest + total.log()  # -inf where nothing is attended
        context = context / total.masked_fill(total == 0, 1)
        ctx.save_for_backward(values, *weights, attended, context, scores, logarithm)
        return context, scores

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        with no_autocast(grads[0].device.type):  # which may be on where backward is called
            return _GatedPool.gradients(ctx, *grads)

    @staticmethod
    def gradients(ctx: Any, *grads: Any) -> Any:
        values, *saved, attended, context, scores, logarithm = ctx.saved_tensors
        weights: Any = tuple(saved)
        if torch.is_grad_enabled():  # a second derivative is wanted: the formula's, which differentiates itself
            return (*_second(values, weights, attended, grads, ctx.needs_input_grad), None)
        grad_context, grad_scores = grads
        dtype, heads = context.dtype, context.shape[1]
        V, _, U, _, w, _ = weights
        found: list[Any] = [None if part is None else torch.zeros_like(part, dtype=dtype) for part in weights]
        grad_values = torch.empty_like(values) if ctx.needs_input_grad[0] else None
        constant = (grad_context * context).sum(2, keepdim=True)
        logarithm = logarithm.masked_fill(logarithm == -torch.inf, 0)
        for chunk in _chunks(values, weights):
            part, inside = _zeroed(values, attended, chunk)
            units, bent, gate = _units(part, weights)
            share = torch.exp(scores[:, :, chunk] - logarithm)
            if inside is not None:
                share = share.masked_fill(~inside.unsqueeze(1), 0)
            wide = part.to(dtype)
            grad_score = share * (torch.bmm(grad_context, wide.transpose(1, 2)) - constant) + grad_scores[:, :, chunk]
            rows = grad_score.transpose(1, 2).reshape(-1, heads)
            grad_units, flat = rows @ w.to(dtype), wide.flatten(0, 1)
            found[4].addmm_(rows.T, units.flatten(0, 1))
            if found[5] is not None:
                found[5] += rows.sum(0)
            bent = bent.flatten(0, 1)
            through = grad_units * (1 - bent * bent)
            if gate is not None:
                gate = gate.flatten(0, 1)
                through *= gate
                grad_gate = grad_units.mul_(bent).mul_(gate).mul_(1 - gate)
                found[2].addmm_(grad_gate.T, flat)
                if found[3] is not None:
                    found[3] += grad_gate.sum(0)
            found[0].addmm_(through.T, flat)
            if found[1] is not None:
                found[1] += through.sum(0)
            if grad_values is not None:
                told = (through @ V.to(dtype)).unflatten(0, part.shape[:2])
                if gate is not None:
                    told += (grad_gate @ U.to(dtype)).unflatten(0, part.shape[:2])
                told += torch.bmm(share.transpose(1, 2), grad_context)
                grad_values[:, chunk] = told if inside is None else told.masked_fill(~inside.unsqueeze(2), 0)
        found = [None if part is None else part.to(like.dtype) for part, like in zip(found, weights, strict=True)]
        return (grad_values, *found, None)


def _second(values: Tensor, weights: Any, attended: Tensor | None, grads: Any, needed: Any) -> list[Tensor | None]:
    part = values if attended is None else values.masked_fill(~attended.unsqueeze(2), 0)
    outputs = gated_pool_reference(part, weights, attended)
    inputs = [values, *weights]
    wanted = [one for one, need in zip(inputs, needed[:7], strict=True) if need]
    found = iter(torch.autograd.grad(outputs, wanted, grads, create_graph=True, materialize_grads=True))
    return [next(found) if need else None for need in needed[:7]]


def _units(part: Tensor, weights: Any) -> tuple[Tensor, Tensor, Tensor | None]:
    """tanh times sigmoid, and both apart, [B, n, A] in the accumulation dtype."""
    V, b, U, c, _, _ = weights
    dtype = accumulation_dtype(part.dtype)
    bent = torch.tanh(F.linear(part, V, b).to(dtype))
    if U is None:
        return bent, bent, None
    gate = torch.sigmoid(F.linear(part, U, c).to(dtype))
    return bent * gate, bent, gate


def _chunks(values: Tensor, weights: Any) -> Iterator[slice]:
    batch, instances, _ = values.shape
    rows = max(UNITS_AT_ONCE // max(batch * weights[0].shape[0], 1), 1)
    return (slice(begin, min(begin + rows, instances)) for begin in range(0, instances, rows))


def _zeroed(values: Tensor, attended: Tensor | None, chunk: slice) -> tuple[Tensor, Tensor | None]:
    part = values[:, chunk]
    if attended is None:
        return part, None
    inside = attended[:, chunk]
    return part.masked_fill(~inside.unsqueeze(2), 0), inside


def _to(tensor: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    return None if tensor is None else tensor.to(dtype)
