"""Attention layers with one interface: additive, multiplicative and dot product.

    layer(query, values, lengths=lengths) -> context, weights
    memory = layer.memory(values, lengths=lengths); layer(query, memory=memory) -> context, weights

The second form prepares a batch of sources once for any number of queries. A layer keeps nothing of a batch.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seq2seq_fast.nn.masks import attended_positions, zero_where_masked
from seq2seq_fast.nn.modules import options, reset_children
from seq2seq_fast.nn.sharding import ForwardMethods
from seq2seq_fast.ops.additive_attention import attend
from seq2seq_fast.ops.attention_memory import AttentionMemory, attention_memory
from seq2seq_fast.ops.autograd import autocast_to, cast, no_autocast
from seq2seq_fast.ops.backends import check_backend
from seq2seq_fast.ops.checks import check_alike, check_tensor
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
    ) -> AttentionMemory:
        """Prepare a batch of sources.

        Args:
            values: [B, Tx, D], what the context is made of. Padding may hold anything, NaN included.
            keys: [B, Tx, K], what is scored (before the layer's projection); the values themselves by default.
            lengths: [B] integers from 0 to Tx: positions from there on are masked.
            mask: [B, Tx] bool, True attends. With both, a position needs both.
            context_weight: as in :func:`seq2seq_fast.attention_memory`; additive attention only.
        """
        return self._memory(values, keys, lengths, mask, context_weight)

    def _memory(
        self,
        values: Tensor,
        keys: Tensor | None,
        lengths: Tensor | None,
        mask: Tensor | None,
        context_weight: Tensor | None = None,
    ) -> AttentionMemory:
        check_tensor("values", values, "[B, Tx, D]", None, None, None)
        lengths, attended = attended_positions(values, lengths, mask)
        values = zero_where_masked(values, attended)
        if keys is None:
            keys = values
        else:
            check_tensor("keys", keys, "[B, Tx, K]", *values.shape[:2], None)
            keys = zero_where_masked(keys, attended)
        return self.prepare(keys, values, lengths, mask, attended, context_weight)

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

    def attend(self, query: Tensor, memory: AttentionMemory, need_weights: bool) -> tuple[Tensor, Tensor | None]:
        """Attend to a memory with query [B, Q] or [B, Tq, Q]."""
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
    ) -> tuple[Tensor, Tensor | None]:
        """Attend to values, or to a memory made of them before.

        Args:
            query: [B, Q], or [B, Tq, Q] for many queries (or beams) a source.
            values, keys, lengths, mask: as in :meth:`memory`; not together with ``memory``.
            need_weights: return the weights, which are differentiable. Without them memory is linear in Tq + Tx.

        Returns:
            context [B, D] or [B, Tq, D], and weights [B, Tx] or [B, Tq, Tx] (None without ``need_weights``). Masked
            positions have weight exactly 0; a source with nothing to attend gives zeros and gets zero gradients.

        Raises:
            TypeError, ValueError: an argument's type, dtype, device or shape is wrong.
        """
        if memory is None:
            if values is None:
                raise ValueError("values or memory must be given; got neither")
            memory = self._memory(values, keys, lengths, mask)
        elif any(given is not None for given in (values, keys, lengths, mask)):
            raise ValueError("memory already holds values, keys, lengths and mask: give it alone")
        return self.attend(query, memory, need_weights)


class AdditiveAttention(Attention):
    """``weights_ij = softmax_j(v^T tanh(W q_i + b + U k_j + b'))`` (Bahdanau, Cho, Bengio 2014, arXiv 1409.0473).

    A bias after ``v`` would shift all scores alike and fall out of the softmax, so there is none; a factor on the
    scores belongs into ``v``. Other libraries' layers are this one with their weights under these names, for instance
    JoeyNMT's ``BahdanauAttention``::

        layer = AdditiveAttention(query_size, key_size, hidden_size, key_bias=False)
        layer.query_projection.weight = theirs.query_layer.weight
        layer.key_projection.weight = theirs.key_layer.weight
        layer.v = torch.nn.Parameter(theirs.energy_layer.weight[0])

    Args:
        query_size: Q. key_size: K, the size of the values unless keys are given apart. attention_size: A.
        query_bias: a bias b on the projected query (OpenNMT-py, SpeechBrain).
        key_bias: a bias b' on the projected keys (SpeechBrain). One of the two says all that both could.
        project: False leaves out both projections (Keras): queries and keys come with size A.
        backend: as in :func:`seq2seq_fast.attend`.

    Parameters: ``query_projection.weight`` [A, Q] and ``.bias`` [A], ``key_projection.weight`` [A, K] and ``.bias``
    [A], ``v`` [A].
    """

    def __init__(
        self,
        query_size: int,
        key_size: int,
        attention_size: int,
        *,
        query_bias: bool = False,
        key_bias: bool = True,
        project: bool = True,
        backend: str | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_backend(backend)
        self.backend, self.query_size, self.key_size = backend, query_size, key_size
        self.attention_size = attention_size
        self.query_projection: nn.Module = nn.Identity()
        self.key_projection: nn.Module = nn.Identity()
        if project:
            self.query_projection = nn.Linear(query_size, attention_size, query_bias, device, dtype)
            self.key_projection = nn.Linear(key_size, attention_size, key_bias, device, dtype)
        elif not query_size == key_size == attention_size:
            raise ValueError(
                "project=False needs query_size, key_size and attention_size to be one size; "
                f"got {query_size}, {key_size}, {attention_size}"
            )
        self.v = nn.Parameter(torch.empty(attention_size, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """The projections as ``torch.nn.Linear`` draws them, v uniform within ``1 / sqrt(attention_size)``."""
        reset_children(self)
        bound = max(self.v.shape[0], 1) ** -0.5
        nn.init.uniform_(self.v, -bound, bound)

    def extra_repr(self) -> str:
        sizes = f"{self.query_size}, {self.key_size}, {self.attention_size}"
        return sizes if self.backend is None else f"{sizes}, {options(backend=self.backend)}"

    def prepare(self, keys, values, lengths, mask, attended, context_weight):
        name = "values (which are the keys)" if keys is values else "keys"
        check_tensor(name, keys, "[B, Tx, K]", None, None, self.key_size)
        keys = self.key_projection(keys)
        return attention_memory(keys, values, lengths=lengths, mask=mask, context_weight=context_weight)

    def attend(self, query: Tensor, memory: AttentionMemory, need_weights: bool) -> tuple[Tensor, Tensor | None]:
        if query.dim() == 3:
            check_tensor("query", query, "[B, Tq, Q]", memory.batch, None, self.query_size)
        else:
            check_tensor("query", query, "[B, Q] or [B, Tq, Q]", memory.batch, self.query_size)
        return attend(self.query_projection(query), memory, self.v, need_weights=need_weights, backend=self.backend)


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

    def attend(self, query: Tensor, memory: AttentionMemory, need_weights: bool) -> tuple[Tensor, Tensor | None]:
        single = query.dim() == 2
        layout, queries = ("[B, Q]", ()) if single else ("[B, Q] or [B, Tq, Q]", (None,))
        check_tensor("query", query, layout, memory.batch, *queries, memory.keys.shape[2])
        (query,) = cast(autocast_to(query.device.type), query)  # type: ignore[assignment]
        check_alike("keys", memory.keys, query=query)
        if single:
            query = query.unsqueeze(1)
        with no_autocast(query.device.type):
            if need_weights or memory.source_length == 0:
                context, weights = self._attend_with_weights(query, memory)
            else:
                context, weights = self._attend_without_weights(query, memory), None
        if single:
            context, weights = context.squeeze(1), None if weights is None else weights.squeeze(1)
        return context, weights if need_weights else None

    def _attend_with_weights(self, query: Tensor, memory: AttentionMemory) -> tuple[Tensor, Tensor]:
        dtype = accumulation_dtype(query.dtype)
        scores = torch.bmm(self.scale * query.to(dtype), memory.keys.to(dtype).transpose(1, 2))
        weights = masked_softmax(scores, memory.attended)
        context = torch.bmm(weights, memory.values.to(dtype))
        return context.to(memory.values.dtype), weights.to(query.dtype)

    def _attend_without_weights(self, query: Tensor, memory: AttentionMemory) -> Tensor:
        mask = empty = None
        if memory.attended is not None:
            # A row that attends nothing would be NaN: it attends everything instead, and its context is zeroed.
            empty = ~memory.attended.any(dim=1, keepdim=True)
            mask = (memory.attended | empty)[:, None, None]
        context = F.scaled_dot_product_attention(
            query.unsqueeze(1), memory.keys.unsqueeze(1), memory.values.unsqueeze(1), mask, scale=self.scale
        ).squeeze(1)
        return context if empty is None else context.masked_fill(empty.unsqueeze(2), 0)


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

    def prepare(self, keys, values, lengths, mask, attended, context_weight):
        name = "values (which are the keys)" if keys is values else "keys"
        check_tensor(name, keys, "[B, Tx, K]", None, None, self.weight.shape[1])
        return super().prepare(F.linear(keys, self.weight), values, lengths, mask, attended, context_weight)
