"""Additive attention over pictures."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from seq2seq_fast.nn.additive_attention import AdditiveAttention
from seq2seq_fast.nn.mistakes import check_values, warn_of_empty
from seq2seq_fast.nn.origin import remember_origin
from seq2seq_fast.ops.attention_memory import AttentionMemory, attention_memory
from seq2seq_fast.ops.checks import check_mask, check_tensor


class Attention2d(AdditiveAttention):
    """``weights_ij = softmax_j(v^T tanh(W q_i + b + U(x)_j))`` over the H W positions j of feature maps x [B, C, H, W].

    U is any module from [B, C, H, W] to [B, A, H, W], a 3 x 3 convolution by default: a position is scored with what
    lies around it (Li, Wang, Shen, Zhang 2019, "Show, Attend and Read", arXiv 1811.00751, section 3.4). The maps are
    projected once, in the memory, and laid out there as the kernels read them::

        layer = Attention2d(query_size, channels, attention_size)
        memory = layer.memory(maps, mask=mask)
        context, weights = layer(query, memory=memory)
        weights.unflatten(-1, (height, width))

    By its default it is the ``AttentionModule`` of docTR's SAR: ``feat_conv`` is the keys' projection, ``state_conv``
    (1 x 1) the query's and ``attention_projector`` (1 x 1) v. MMOCR's ``sar_decoder`` is the same with
    ``query_bias=True`` on all queries of a sequence at once, and with positions masked beyond each picture's width.
    A 1 x 1 convolution as ``key_projection`` gives the attention of Xu et al. 2015 (arXiv 1502.03044).

    Args:
        query_size: Q. key_size: C, the channels. attention_size: A.
        key_projection: U; None for ``nn.Conv2d(key_size, attention_size, 3, padding=1)``, with bias.
        options: ``query_bias``, ``score_bias``, ``activation``, ``normalization``, ``clip``, ``dropout``, ``backend``
            of `AdditiveAttention`.

    Parameters: those of `AdditiveAttention`; ``key_projection`` has its own.
    """

    def __init__(
        self,
        query_size: int,
        key_size: int,
        attention_size: int,
        *,
        key_projection: nn.Module | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **options: Any,
    ) -> None:
        like: dict[str, Any] = {"device": device, "dtype": dtype}
        super().__init__(query_size, key_size, attention_size, **like, **options)
        if key_projection is None:
            key_projection = nn.Conv2d(key_size, attention_size, 3, padding=1, **like)
        self.key_projection = key_projection

    def memory(
        self,
        values: Tensor,
        *,
        keys: Tensor | None = None,
        lengths: Tensor | None = None,
        mask: Tensor | None = None,
        context_weight: Tensor | None = None,
        **unknown: Any,
    ) -> AttentionMemory:
        """Prepare a batch of feature maps.

        Args:
            values: [B, D, H, W], what the context is made of. Padding may hold anything, NaN included.
            keys: [B, C, H, W], what is scored; the values themselves by default.
            mask: [B, H, W] bool, True attends. Of widths [B]: ``(torch.arange(W) < widths[:, None, None]).expand(B, H,
                W)``.
            context_weight: as in :func:`seq2seq_fast.attention_memory`.
        """
        return super().memory(
            values, keys=keys, lengths=lengths, mask=_flat(mask, values), context_weight=context_weight, **unknown
        )

    def _sources(self, query, values, keys, memory, lengths, mask):
        # [B, H, W], or [B, Tq, H, W] for each query its own
        return super()._sources(query, values, keys, memory, lengths, _flat(mask, values))

    def _memory(
        self,
        values: Tensor,
        keys: Tensor | None,
        lengths: Tensor | None,
        mask: Tensor | None,
        context_weight: Tensor | None = None,
    ) -> AttentionMemory:
        check_values(values)
        check_tensor("values", values, "[B, D, H, W]", None, None, None, None)
        batch, _, height, width = values.shape
        if lengths is not None:
            raise ValueError("lengths tell of one axis, pictures have two: write mask=, [B, H, W] bool, True attends")
        rows = None
        if mask is not None:
            mask = check_mask("mask", mask, batch, height * width, values.device)
            warn_of_empty(mask)
            rows = mask.unflatten(1, (height, width))
        values = _zero(values, rows)
        keys = values if keys is None else _zero(keys, rows)
        name = "values (which are the keys)" if keys is values else "keys"
        check_tensor(name, keys, "[B, C, H, W]", batch, self.key_size, height, width)
        projected = self.key_projection(keys)
        check_tensor("key_projection(keys)", projected, "[B, A, H, W]", batch, self.attention_size, height, width)
        keys, values = (maps.flatten(2).transpose(1, 2).contiguous() for maps in (projected, values))
        return remember_origin(attention_memory(keys, values, mask=mask, context_weight=context_weight), self)


def _flat(mask: Any, values: Any) -> Any:
    """A mask [..., H, W] as [..., H W]."""
    if not isinstance(mask, Tensor) or mask.dim() < 3:
        return mask
    if isinstance(values, Tensor) and mask.shape[-2:] != values.shape[-2:]:
        raise ValueError(
            f"mask must be [B, H, W] or [B, Tq, H, W] with H, W = {tuple(values.shape[-2:])}; "
            f"got shape {tuple(mask.shape)}"
        )
    return mask.flatten(-2)


def _zero(maps: Tensor, rows: Tensor | None) -> Tensor:
    """Maps [B, C, H, W], zero where ``rows`` [B, H, W] is False."""
    return maps if rows is None or not isinstance(maps, Tensor) else maps.masked_fill(~rows.unsqueeze(1), 0)
