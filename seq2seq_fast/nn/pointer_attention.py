"""Pointer networks' attention: the scores themselves."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seq2seq_fast.nn.additive_attention import AdditiveAttention
from seq2seq_fast.nn.mistakes import refuse_unknown
from seq2seq_fast.ops.additive_score import additive_score
from seq2seq_fast.ops.attention_memory import AttentionMemory


class PointerAttention(AdditiveAttention):
    """``scores_ij = C tanh(v^T tanh(W q_i + b + U k_j + b'))``, ``-inf`` where position j may not be pointed to.

    Vinyals, Fortunato, Jaitly 2015, "Pointer Networks", arXiv 1506.03134, equation 3; the clipping is Bello, Pham, Le,
    Norouzi, Bengio 2016, "Neural Combinatorial Optimization with Reinforcement Learning", arXiv 1611.09940, equation
    16. A softmax of the scores, or a distribution with these logits, says what to point to; masks come after clipping,
    so that what is masked has probability 0. What is still allowed changes with every step and is given to the call::

        layer = PointerAttention(query_size, key_size, attention_size, clip=10.0)
        memory = layer.memory(cities)
        logits = layer(query, memory=memory, mask=allowed)

    With ``query_bias=True`` it is the additive pointer of RL4CO (``SimpleAttention`` of its pointer network) and of
    attention-learn-to-route (``Attention`` of ``pointer_network.py``), where ``use_tanh`` and ``C`` are ``clip``,
    ``project_query`` is the query's projection, and ``project_ref``, a convolution of width 1, the keys'. Their glimpse
    is an attention whose values are the projected keys: it is ``layer.key_projection(context)`` of the context that an
    `AdditiveAttention` with these weights returns, since its weights add up to 1.

    Args:
        query_size, key_size, attention_size: Q, K and A, as in `AdditiveAttention`.
        clip: C; None for scores as they are.
        query_bias, key_bias, activation, backend: as in `AdditiveAttention`.

    Parameters: those of `AdditiveAttention`.
    """

    def __init__(
        self,
        query_size: int,
        key_size: int,
        attention_size: int,
        *,
        clip: float | None = None,
        query_bias: bool = False,
        key_bias: bool = True,
        activation: str = "tanh",
        backend: str | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            query_size, key_size, attention_size, clip=clip, query_bias=query_bias, key_bias=key_bias,
            activation=activation, backend=backend, device=device, dtype=dtype,
        )  # fmt: skip

    def forward(  # type: ignore[override]
        self,
        query: Tensor,
        values: Tensor | None = None,
        *,
        memory: AttentionMemory | None = None,
        lengths: Tensor | None = None,
        mask: Tensor | None = None,
        **unknown: Any,
    ) -> Tensor:
        """The scores of a query for each position.

        Args:
            query: [B, Q], or [B, Tq, Q] for many queries (or beams) a source.
            values: [B, Tx, K], what is pointed to; not together with ``memory``.
            memory: from :meth:`memory` of this layer, with its present weights.
            lengths: [B], or [B, Tq] for each query its own. With a memory they limit this call, beyond its own.
            mask: [B, Tx], [B, 1, Tx], or [B, Tq, Tx] for each query its own; bool, True may be pointed to. Likewise.

        Returns:
            [B, Tx] or [B, Tq, Tx], ``-inf`` where masked.

        Raises:
            TypeError, ValueError: an argument's type, dtype, device or shape is wrong, or the memory is another's.
        """
        refuse_unknown(unknown)
        memory, lengths, mask = self._sources(query, values, None, memory, lengths, mask)
        return additive_score(
            self.project_query(query, memory), memory, self.v, lengths=lengths, mask=mask, activation=self.activation,
            clip=self.clip, backend=self.backend,
        )  # fmt: skip
