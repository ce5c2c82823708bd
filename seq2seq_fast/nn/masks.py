"""Which source positions may be attended or read, from lengths, a mask, or both."""

from __future__ import annotations

from torch import Tensor

from seq2seq_fast.ops.checks import check_lengths, check_mask
from seq2seq_fast.ops.positions import inside_lengths


def attended_positions(
    values: Tensor, lengths: Tensor | None, mask: Tensor | None
) -> tuple[Tensor | None, Tensor | None]:
    """For values [B, Tx, ...] the lengths as checked int64 on their device, and where both lengths and mask attend.

    The second is [B, Tx] bool; None without either.
    """
    batch, source = values.shape[:2]
    if mask is not None:
        mask = check_mask("mask", mask, batch, source, values.device)
    if lengths is None:
        return None, mask
    lengths = check_lengths(lengths, batch, source, values.device)
    inside = inside_lengths(values, lengths)
    return lengths, inside if mask is None else inside & mask


def zero_where_masked(values: Tensor, attended: Tensor | None) -> Tensor:
    """values [B, Tx, ...] with 0 wherever ``attended`` [B, Tx] is False, whatever lay there.

    A product with a weight matrix must not see NaN from padding: the weight's gradient is a product too, and there even
    a zero gradient times NaN would be NaN.
    """
    if attended is None:
        return values
    return values.masked_fill(~attended.reshape(*attended.shape, *(1,) * (values.dim() - 2)), 0)
