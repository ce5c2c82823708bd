"""What belongs to a batch of sources: made once, handed to every decoder step."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from seq2seq_fast.ops.autograd import autocast_to, cast, no_autocast
from seq2seq_fast.ops.backends import choose_backend, raw
from seq2seq_fast.ops.checks import check_alike, check_lengths, check_mask, check_tensor
from seq2seq_fast.ops.derivatives import declare_derivative
from seq2seq_fast.ops.positions import inside_lengths
from seq2seq_fast.ops.record import Record, register_record


@register_record
@dataclass(frozen=True, eq=False, repr=False)
class AttentionMemory(Record):
    """Keys and values of a batch of sources, prepared by :func:`attention_memory`.

    Attributes:
        keys: [B, Tx, A], zero where masked.
        values: [B, Tx, D], zero where masked.
        exponentials: ``e^(2 keys)`` [B, Tx, A] in the accumulation dtype, for the exponential form of tanh; carries no
            gradient. None where no fused backend serves the tensors.
        in_range: [B] bool, whether the exponential form may be used for this source; None with ``exponentials``.
        lengths: [B] int64 or None.
        mask: [B, Tx] bool as given, or None.
        attended: [B, Tx] bool, ``lengths`` and ``mask`` together; None where every position is attended.
        projected_values: [B, Tx, G H], ``values context_weight^T``, or None.
    """

    keys: Tensor
    values: Tensor
    exponentials: Tensor | None = None
    in_range: Tensor | None = None
    lengths: Tensor | None = None
    mask: Tensor | None = None
    attended: Tensor | None = None
    projected_values: Tensor | None = None

    @property
    def batch(self) -> int:
        return self.keys.shape[0]

    @property
    def source_length(self) -> int:
        return self.keys.shape[1]

    def _to(self, device: torch.device | None, dtype: torch.dtype | None, non_blocking: bool) -> AttentionMemory:
        moved = super()._to(device, dtype, non_blocking)
        if moved.keys.dtype == self.keys.dtype:
            return moved
        # Exponentials of keys in another precision: the next call makes them anew.
        return replace(moved, exponentials=None, in_range=None)


def attention_memory(
    keys: Tensor,
    values: Tensor,
    *,
    lengths: Tensor | None = None,
    mask: Tensor | None = None,
    context_weight: Tensor | None = None,
) -> AttentionMemory:
    """Prepare keys and values for any number of :func:`attend` calls.

    Masked keys and values are zeroed here, so nothing that lies in padding (NaN and inf included) can reach a product.
    Differentiable with respect to keys, values and context_weight.

    Args:
        keys: [B, Tx, A] floating point, the projected annotations ``U_a h_j``.
        values: [B, Tx, D] of the same dtype and device, the annotations ``h_j``.
        lengths: [B] integers from 0 to Tx: positions from there on are masked.
        mask: [B, Tx] or [B, 1, Tx] bool, True attends. With both, a position needs both.
        context_weight: [G H, D], the columns of a cell's ``weight_ih`` that read the context. With it the memory keeps
            ``values context_weight^T``, and a decoder step no longer multiplies the context.

    Raises:
        TypeError, ValueError: an argument's type, dtype, device, shape or (CPU) length is wrong.
    """
    return make_memory(keys, values, lengths, mask, context_weight)


def make_memory(
    keys: Tensor,
    values: Tensor,
    lengths: Tensor | None = None,
    mask: Tensor | None = None,
    context_weight: Tensor | None = None,
    backend: str | None = None,
) -> AttentionMemory:
    """:func:`attention_memory` for a call whose backend is chosen already; None: the one that serves the keys."""
    check_tensor("keys", keys, "[B, Tx, A]", None, None, None)
    batch, source, _ = keys.shape
    check_tensor("values", values, "[B, Tx, D]", batch, source, None)
    keys, values, context_weight = cast(autocast_to(keys.device.type), keys, values, context_weight)
    check_alike("keys", keys, values=values, context_weight=context_weight)
    if lengths is not None:
        lengths = check_lengths(lengths, batch, source, keys.device)
    if mask is not None:
        mask = check_mask("mask", mask, batch, source, keys.device)
    if context_weight is not None:
        check_tensor("context_weight", context_weight, "[G H, D]", None, values.shape[2])

    attended = attended_positions(keys, lengths, mask)
    if attended is not None:
        hidden = ~attended.unsqueeze(2)
        keys, values = keys.masked_fill(hidden, 0.0), values.masked_fill(hidden, 0.0)

    exponentials = in_range = None
    if backend is None:
        backend = choose_backend(None, keys)
    if backend != "reference":
        exponentials, in_range = raw(backend).key_exponentials(keys)
    projected_values = None
    if context_weight is not None:
        with no_autocast(keys.device.type):
            projected_values = F.linear(values, context_weight)
    return AttentionMemory(keys, values, exponentials, in_range, lengths, mask, attended, projected_values)


def attended_positions(keys: Tensor, lengths: Tensor | None, mask: Tensor | None) -> Tensor | None:
    """``lengths`` and ``mask`` together, [B, Tx] bool; None where every position is attended."""
    if lengths is None:
        return mask
    inside = inside_lengths(keys, lengths)
    return inside if mask is None else inside & mask


# What follows from the keys carries no gradient: whoever reads it gives the keys theirs.
declare_derivative("key_exponentials", lambda keys: (), ())
