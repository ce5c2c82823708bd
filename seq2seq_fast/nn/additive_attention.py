"""Additive attention as a layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seq2seq_fast.nn.attention import Attention
from seq2seq_fast.nn.modules import options, reset_children
from seq2seq_fast.ops.additive_attention import attend
from seq2seq_fast.ops.attention_memory import AttentionMemory, attention_memory
from seq2seq_fast.ops.autograd import cast_like
from seq2seq_fast.ops.backends import check_backend
from seq2seq_fast.ops.checks import check_choice, check_tensor
from seq2seq_fast.ops.features import ACTIVATIONS
from seq2seq_fast.ops.weighting import Weighting


class AdditiveAttention(Attention):
    """``weights_ij = softmax_j(v^T tanh(W q_i + b + U k_j + b'))`` (Bahdanau, Cho, Bengio 2014, arXiv 1409.0473).

    A bias after ``v`` shifts all scores alike and falls out of a plain softmax, so by default there is none; a factor
    on the scores belongs into ``v``. Other libraries' layers are this one with their weights under these names, for
    instance JoeyNMT's ``BahdanauAttention``::

        layer = AdditiveAttention(query_size, key_size, hidden_size, key_bias=False)
        layer.query_projection.weight = theirs.query_layer.weight
        layer.key_projection.weight = theirs.key_layer.weight
        layer.v = torch.nn.Parameter(theirs.energy_layer.weight[0])

    Args:
        query_size: Q. key_size: K, the size of the values unless keys are given apart. attention_size: A.
        query_bias: a bias b on the projected query (OpenNMT-py, SpeechBrain).
        key_bias: a bias b' on the projected keys (SpeechBrain). One of the two says all that both could.
        score_bias: a bias after v. It matters where the weights are more than a softmax of the scores.
        project: False leaves out both projections (Keras): queries and keys come with size A.
        activation: "tanh", or "relu" in its place (image captioning by sgrvinod).
        normalization: "softmax"; "sigmoid", each score's sigmoid divided by their sum (Coqui TTS); or "none".
        clip: C makes the scores ``C tanh(score)``.
        dropout: the probability with which a weight becomes 0 in training mode (d2l); the others grow to match.
        backend: as in :func:`seq2seq_fast.attend`.

    Parameters: ``query_projection.weight`` [A, Q] and ``.bias`` [A], ``key_projection.weight`` [A, K] and ``.bias``
    [A], ``v`` [A], ``score_bias`` [1].
    """

    def __init__(
        self,
        query_size: int,
        key_size: int,
        attention_size: int,
        *,
        query_bias: bool = False,
        key_bias: bool = True,
        score_bias: bool = False,
        project: bool = True,
        activation: str = "tanh",
        normalization: str = "softmax",
        clip: float | None = None,
        dropout: float = 0.0,
        backend: str | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_backend(backend)
        check_choice("activation", activation, ACTIVATIONS)
        Weighting(normalization, None, clip, dropout)  # checks
        self.activation, self.normalization, self.clip, self.dropout = activation, normalization, clip, dropout
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
        self.score_bias = nn.Parameter(torch.empty(1, device=device, dtype=dtype)) if score_bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """The projections as ``torch.nn.Linear`` draws them, v and its bias within ``1 / sqrt(attention_size)``."""
        reset_children(self)
        bound = max(self.v.shape[0], 1) ** -0.5
        nn.init.uniform_(self.v, -bound, bound)
        if self.score_bias is not None:
            nn.init.uniform_(self.score_bias, -bound, bound)

    def extra_repr(self) -> str:
        sizes = f"{self.query_size}, {self.key_size}, {self.attention_size}"
        shown = options(
            backend=self.backend, score_bias=None if self.score_bias is None else True,
            activation=None if self.activation == "tanh" else self.activation,
            normalization=None if self.normalization == "softmax" else self.normalization,
            clip=self.clip, dropout=self.dropout or None,
        )  # fmt: skip
        return f"{sizes}, {shown}" if shown else sizes

    def key_parameters(self) -> tuple[nn.Parameter, ...]:
        return tuple(self.key_projection.parameters())

    @property
    def plain(self) -> bool:
        """Whether the layer is the tanh and the softmax of the paper, which the decoder's operators compute."""
        weighting = Weighting(self.normalization, None, self.clip, self.dropout)
        return self.activation == "tanh" and weighting.plain

    def prepare(self, keys, values, lengths, mask, attended, context_weight):
        name = "values (which are the keys)" if keys is values else "keys"
        check_tensor(name, keys, "[B, Tx, K]", None, None, self.key_size)
        keys = self.key_projection(keys)
        return attention_memory(keys, values, lengths=lengths, mask=mask, context_weight=context_weight)

    def attend(
        self,
        query: Tensor,
        memory: AttentionMemory,
        need_weights: bool,
        lengths: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        (bias,) = cast_like(memory.keys, self.score_bias)
        return attend(
            self.project_query(query, memory), memory, self.v, lengths=lengths, mask=mask, activation=self.activation,
            normalization=self.normalization, bias=bias, clip=self.clip, dropout=self.dropout if self.training else 0.0,
            need_weights=need_weights, backend=self.backend,
        )  # fmt: skip

    def project_query(self, query: Tensor, memory: AttentionMemory) -> Tensor:
        """W q + b, [B, A] or [B, Tq, A], of a query that fits the memory."""
        if query.dim() == 3:
            check_tensor("query", query, "[B, Tq, Q]", memory.batch, None, self.query_size)
        else:
            check_tensor("query", query, "[B, Q] or [B, Tq, Q]", memory.batch, self.query_size)
        return self.query_projection(query)
