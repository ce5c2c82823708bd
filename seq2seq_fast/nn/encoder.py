"""The encoder: a stack of recurrent layers over tokens or features, read in one or in both directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seq2seq_fast.nn.cell_kinds import make_cell
from seq2seq_fast.nn.cells import hidden_of, zero_state
from seq2seq_fast.nn.dropout import check_probabilities, dropout_mask, sequence_dropout
from seq2seq_fast.nn.masks import attended_positions, zero_where_masked
from seq2seq_fast.nn.modules import options, reset_children
from seq2seq_fast.nn.recurrence import run_recurrence
from seq2seq_fast.ops.checks import check_tensor, check_tokens
from seq2seq_fast.ops.record import Record, register_record


@register_record
@dataclass(frozen=True, eq=False, repr=False)
class EncoderOutput(Record):
    """What an :class:`Encoder` returns.

    Attributes:
        outputs: [B, Tx, D], the annotations h_j of the top layer, forward then backward; zero in padding.
        lengths: [B] int64 on the device of outputs, or None.
        final_states: for each layer the state after the last step, [B, D] (forward, then backward; LSTM: a pair).
        summary: [B, H], the top layer's backward state at the first position (its last step; the paper's
            ``h_1`` backward), or the forward state at the last position of an encoder that reads one way.
    """

    outputs: Tensor
    lengths: Tensor | None
    final_states: tuple[Any, ...]
    summary: Tensor


class Encoder(nn.Module):
    """A stack of recurrent layers, as in Bahdanau, Cho, Bengio 2014 (arXiv 1409.0473, section 3.2) with one.

    Args:
        input_size: E, the size of the embedding, or of the features where there is no vocabulary.
        hidden_size: H of each direction.
        vocabulary_size: with it the input is tokens [B, Tx]; without it features [B, Tx, E] (speech frames, regions of
            an image).
        cell: "rnn", "gru" or "lstm". reset_after: the form of the GRU, see :func:`seq2seq_fast.gru_cell`.
        layer_norm: cells with layer normalisation, which run step by step in the reference operators.
        layers: how many. bidirectional: read both ways; the outputs then have size D = 2 H, otherwise H.
        dropout: on the input of every layer above the first. embedding_dropout: on the embedding or the features.
        recurrent_dropout: on the recurrent state, one mask for all positions (a GPU then runs step by step).
        variational: one mask for all positions in ``dropout`` and ``embedding_dropout`` too.
        residual: every layer above the first adds its input to its output.
        device, dtype: of the parameters.

    Attributes:
        output_size: D. summary_size: H. embedding: the ``torch.nn.Embedding``, or None for features.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        vocabulary_size: int | None = None,
        cell: str = "gru",
        reset_after: bool = True,
        layer_norm: bool = False,
        layers: int = 1,
        bidirectional: bool = True,
        dropout: float = 0.0,
        embedding_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        variational: bool = False,
        residual: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if layers < 1:
            raise ValueError(f"layers must be at least 1; got {layers}")
        check_probabilities(dropout=dropout, embedding_dropout=embedding_dropout, recurrent_dropout=recurrent_dropout)
        self.input_size, self.hidden_size, self.cell = input_size, hidden_size, cell
        self.output_size, self.summary_size = hidden_size * (2 if bidirectional else 1), hidden_size
        self.dropout, self.embedding_dropout, self.recurrent_dropout = dropout, embedding_dropout, recurrent_dropout
        self.variational, self.residual, self.bidirectional = variational, residual, bidirectional
        like: dict[str, Any] = {"device": device, "dtype": dtype}
        self.embedding = None if vocabulary_size is None else nn.Embedding(vocabulary_size, input_size, **like)
        sizes = [input_size] + [self.output_size] * (layers - 1)

        form = {"reset_after": reset_after, "layer_norm": layer_norm, **like}

        def stack() -> nn.ModuleList:
            return nn.ModuleList(make_cell(cell, size, hidden_size, **form) for size in sizes)

        self.forward_cells = stack()
        self.backward_cells = stack() if bidirectional else None

    def reset_parameters(self) -> None:
        """As the layers draw them, ``torch.nn``'s way; a `Seq2Seq` draws its encoder's in its own."""
        reset_children(self)

    def extra_repr(self) -> str:
        shown = options(
            cell=self.cell, layers=len(self.forward_cells), bidirectional=self.bidirectional,
            dropout=self.dropout or None, embedding_dropout=self.embedding_dropout or None,
            recurrent_dropout=self.recurrent_dropout or None, variational=self.variational or None,
            residual=self.residual or None,
        )  # fmt: skip
        return f"{self.input_size}, {self.hidden_size}, {shown}"

    def forward(self, source: Tensor, lengths: Tensor | None = None) -> EncoderOutput:
        """Encode a batch.

        Args:
            source: tokens [B, Tx] of an integer dtype, or features [B, Tx, E]. What lies behind a length changes
                nothing, NaN or a token that is in no vocabulary included.
            lengths: [B] integers from 0 to Tx, on any device. On a GPU the host never reads them, so the stream is not
                stopped. Without them every sequence has Tx positions.

        Raises:
            TypeError, ValueError: an argument's type, dtype, shape or (CPU) length is wrong.
        """
        if self.embedding is None:
            check_tensor("source", source, "[B, Tx, E] (features)", None, None, self.input_size)
        else:
            check_tensor("source", source, "[B, Tx] (tokens)", None, None)
            check_tokens("source", source)
        lengths, inside = attended_positions(source, lengths, None)
        sequences = zero_where_masked(source, inside)
        if self.embedding is not None:
            sequences = self.embedding(sequences)
        sequences = sequence_dropout(sequences, self.embedding_dropout, self.training, self.variational)
        finals = []
        for layer in range(len(self.forward_cells)):
            inputs = sequences
            if layer > 0:
                inputs = sequence_dropout(inputs, self.dropout, self.training, self.variational)
            outputs, final = self._run_layer(layer, inputs, lengths)
            sequences = outputs + inputs if self.residual and layer > 0 else outputs
            finals.append(final)
        return EncoderOutput(sequences, lengths, tuple(finals), hidden_of(finals[-1])[:, -self.hidden_size :])

    def _run_layer(self, layer: int, inputs: Tensor, lengths: Tensor | None) -> tuple[Tensor, Any]:
        directions = [(self.forward_cells[layer], False)]
        if self.backward_cells is not None:
            directions.append((self.backward_cells[layer], True))
        outputs, finals = [], []
        for cell, reverse in directions:
            state = zero_state(cell, self.cell, self.hidden_size, inputs)
            state_mask = None
            if self.training and self.recurrent_dropout > 0:
                like = hidden_of(state)
                state_mask = dropout_mask(like, *like.shape, probability=self.recurrent_dropout)
            output, final = run_recurrence(cell, inputs, state, lengths=lengths, reverse=reverse, state_mask=state_mask)
            outputs.append(output)
            finals.append(final)
        if len(directions) == 1:
            return outputs[0], finals[0]
        if isinstance(finals[0], tuple):
            return torch.cat(outputs, dim=2), tuple(torch.cat(parts, dim=1) for parts in zip(*finals, strict=True))
        return torch.cat(outputs, dim=2), torch.cat(finals, dim=1)
