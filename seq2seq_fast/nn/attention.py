"""Attention layers with one interface: additive, multiplicative and dot product.

    layer(query, values, lengths=lengths) -> context, weights
    memory = layer.memory(values, lengths=lengths); layer(query, memory=memory) -> context, weights

The second form prepares a batch of sources once for any number of queries. A layer keeps nothing of a batch.
Multiplicative and dot-product attention are here, additive attention is in ``additive_attention.py``.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seq2seq_fast.nn.masks import attended_positions, zero_where_masked
from seq2seq_fast.nn.mistakes import check_query, check_values, refuse_unknown, warn_of_empty
from seq2seq_fast.nn.origin import check_memory, remember_origin
from seq2seq_fast.nn.sharding import ForwardMethods
from seq2seq_fast.ops.attention_memory import AttentionMemory
from seq2seq_fast.ops.autograd import autocast_to, cast, no_autocast
from seq2seq_fast.ops.checks import as_lengths, check_alike, check_mask, check_tensor
from seq2seq_fast.ops.positions import positions_of
from seq2seq_fast.reference.additive_attention import masked_softmax
from seq2seq_fast.reference.precision import accumulation_dtype


class Attention(ForwardMethods, nn.Module):
    """What the attention layers share."""

    forward_methods: ClassVar[tuple[str, ...]] = ("memory",)

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
        """Prepare a batch of sources.

        Args:
            values: [B, Tx, D], what the context is made of. Padding may hold anything, NaN included.
            keys: [B, Tx, K], what is scored (before the layer's projection); the values themselves by default.
            lengths: [B] integers from 0 to Tx, a tensor, list or array: positions from there on are masked.
            mask: [B, Tx] or [B, 1, Tx] bool, True attends: the inverse of PyTorch's ``key_padding_mask``. With both,
                a position needs both.
            context_weight: as in :func:`seq2seq_fast.attention_memory`; additive attention only.
        """
        refuse_unknown(unknown)
        return self._memory(values, keys, lengths, mask, context_weight)

    def _memory(
        self,
        values: Tensor,
        keys: Tensor | None,
        lengths: Tensor | None,
        mask: Tensor | None,
        context_weight: Tensor | None = None,
    ) -> AttentionMemory:
        check_values(values)
        check_tensor("values", values, "[B, Tx, D]", None, None, None)
        if mask is not None:
            mask = check_mask("mask", mask, values.shape[0], values.shape[1], values.device)
            warn_of_empty(mask)
        lengths, attended = attended_positions(values, lengths, mask)
        values = zero_where_masked(values, attended)
        if keys is None:
            keys = values
        else:
            check_tensor("keys", keys, "[B, Tx, K]", *values.shape[:2], None)
            keys = zero_where_masked(keys, attended)
        return remember_origin(self.prepare(keys, values, lengths, mask, attended, context_weight), self)

    def key_parameters(self) -> tuple[nn.Parameter, ...]:
        """The parameters that a memory is made with: it is wrong once they change."""
        return ()

    def prepare(
        self,
        keys: Tensor,
        values: Tensor,
        lengths: Tensor | None,
        mask: Tensor | None,
        attended: Tensor | None,
        context_weight: Tensor | None,
    ) -> AttentionMemory:
        """The memory of keys and values that are zero where masked."""
        if context_weight is not None:
            raise ValueError(f"context_weight serves AdditiveAttention; {type(self).__name__} has no use for it")
        keys, values = cast(autocast_to(keys.device.type), keys, values)  # type: ignore[assignment]
        check_alike("keys", keys, values=values)
        return AttentionMemory(keys, values, lengths=lengths, mask=mask, attended=attended)

    def attend(
        self,
        query: Tensor,
        memory: AttentionMemory,
        need_weights: bool,
        lengths: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend to a memory with query [B, Q] or [B, Tq, Q]; lengths and mask limit this call further."""
        raise NotImplementedError

    def forward(
        self,
        query: Tensor,
        values: Tensor | None = None,
        *,
        keys: Tensor | None = None,
        memory: AttentionMemory | None = None,
        lengths: Tensor | None = None,
        mask: Tensor | None = None,
        need_weights: bool = True,
        **unknown: Any,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend to values, or to a memory made of them before.

        Args:
            query: [B, Q], or [B, Tq, Q] for many queries (or beams) a source.
            values, keys: as in :meth:`memory`; not together with ``memory``.
            memory: from :meth:`memory` of this layer, with its present weights.
            lengths: [B], or [B, Tq] for each query its own. With a memory they limit this call, beyond its own.
            mask: [B, Tx], [B, 1, Tx], or [B, Tq, Tx] for each query its own; bool, True attends. Likewise.
            need_weights: return the weights, which are differentiable. Without them memory is linear in Tq + Tx.

        Returns:
            context [B, D] or [B, Tq, D], and weights [B, Tx] or [B, Tq, Tx] (None without ``need_weights``). Masked
            positions have weight exactly 0; a source with nothing to attend gives zeros and gets zero gradients.

        Raises:
            TypeError, ValueError: an argument's type, dtype, device or shape is wrong, or the memory is another's.
        """
        refuse_unknown(unknown)
        memory, lengths, mask = self._sources(query, values, keys, memory, lengths, mask)
        return self.attend(query, memory, need_weights, lengths, mask)

    def _sources(
        self,
        query: Tensor,
        values: Tensor | None,
        keys: Tensor | None,
        memory: AttentionMemory | None,
        lengths: Tensor | None,
        mask: Tensor | None,
    ) -> tuple[AttentionMemory, Tensor | None, Tensor | None]:
        """The memory that a call attends to, and the lengths and the mask that are not part of it."""
        check_query(query)
        if memory is not None:
            if values is not None or keys is not None:
                raise ValueError("memory already holds values and keys: give it alone, or with lengths and mask")
            check_memory(memory, self)
            if isinstance(mask, Tensor):
                warn_of_empty(mask)
            return memory, lengths, mask
        if values is None:
            raise ValueError("values or memory must be given; got neither")
        # What holds for a whole source belongs to the memory, which keeps padding out of every product.
        lengths, own_lengths, own_mask = as_lengths(lengths), None, None
        if lengths is None or lengths.dim() != 2:
            own_lengths, lengths = lengths, None
        if not isinstance(mask, Tensor) or mask.dim() != 3 or mask.shape[1] == 1:
            own_mask, mask = mask, None
        else:
            warn_of_empty(mask)
        return self._memory(values, keys, own_lengths, own_mask), lengths, mask


class DotProductAttention(Attention):
    """``weights_ij = softmax_j(scale q_i^T k_j)`` (Luong, Pham, Manning 2015, arXiv 1508.04025, "dot").

    Without weights it is PyTorch's ``scaled_dot_product_attention``, whose memory is linear in Tq + Tx.

    Args:
        scale: multiplies the scores; 1 as in the paper.
        device, dtype: taken as every layer takes them; there are no parameters here.
    """

    def __init__(
        self, *, scale: float = 1.0, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> None:
        super().__init__()
        self.scale = scale

    def extra_repr(self) -> str:
        return f"scale={self.scale}"

    def attend(
        self,
        query: Tensor,
        memory: AttentionMemory,
        need_weights: bool,
        lengths: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        single = query.dim() == 2
        layout, queries = ("[B, Q]", ()) if single else ("[B, Q] or [B, Tq, Q]", (None,))
        check_tensor("query", query, layout, memory.batch, *queries, memory.keys.shape[2])
        (query,) = cast(autocast_to(query.device.type), query)  # type: ignore[assignment]
        check_alike("keys", memory.keys, query=query)
        if single:
            query = query.unsqueeze(1)
        attended = positions_of(memory, query.shape[1], lengths, mask).attended
        with no_autocast(query.device.type):
            if need_weights or memory.source_length == 0:
                context, weights = self._attend_with_weights(query, memory, attended)
            else:
                context, weights = self._attend_without_weights(query, memory, attended), None
        if single:
            context, weights = context.squeeze(1), None if weights is None else weights.squeeze(1)
        return context, weights if need_weights else None

    def _attend_with_weights(
        self, query: Tensor, memory: AttentionMemory, attended: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        dtype = accumulation_dtype(query.dtype)
        scores = torch.bmm(self.scale * query.to(dtype), memory.keys.to(dtype).transpose(1, 2))
        weights = masked_softmax(scores, attended)
        context = torch.bmm(weights, memory.values.to(dtype))
        return context.to(memory.values.dtype), weights.to(query.dtype)

    def _attend_without_weights(self, query: Tensor, memory: AttentionMemory, attended: Tensor | None) -> Tensor:
        mask = empty = None
        if attended is not None:
            # A row that attends nothing would be NaN: it attends everything instead, and its context is zeroed.
            empty = ~attended.any(dim=2, keepdim=True)
            mask = (attended | empty).unsqueeze(1)
        context = F.scaled_dot_product_attention(
            query.unsqueeze(1), memory.keys.unsqueeze(1), memory.values.unsqueeze(1), mask, scale=self.scale
        ).squeeze(1)
        return context if empty is None else context.masked_fill(empty, 0)


class MultiplicativeAttention(DotProductAttention):
    """``weights_ij = softmax_j(q_i^T W k_j)`` (Luong, Pham, Manning 2015, arXiv 1508.04025, "general").

    W is multiplied with the keys, once a source. Parameter: ``weight`` [Q, K].

    Args:
        query_size: Q. key_size: K, the size of the values unless keys are given apart.
        scale: multiplies the scores; 1 as in the paper.
    """

    def __init__(
        self,
        query_size: int,
        key_size: int,
        *,
        scale: float = 1.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(scale=scale)
        self.weight = nn.Parameter(torch.empty(query_size, key_size, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Uniform within ``1 / sqrt(key_size)``."""
        bound = max(self.weight.shape[1], 1) ** -0.5
        nn.init.uniform_(self.weight, -bound, bound)

    def extra_repr(self) -> str:
        query_size, key_size = self.weight.shape
        return f"{query_size}, {key_size}, {super().extra_repr()}"

    def key_parameters(self):
        return tuple(self.parameters())  # what a parametrized weight is computed from, too

    def prepare(self, keys, values, lengths, mask, attended, context_weight):
        name = "values (which are the keys)" if keys is values else "keys"
        check_tensor(name, keys, "[B, Tx, K]", None, None, self.weight.shape[1])
        return super().prepare(F.linear(keys, self.weight), values, lengths, mask, attended, context_weight)
