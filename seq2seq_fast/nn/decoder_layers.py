"""What a decoder is made of: embedding, attention, cells, bridges from the encoder, readout, vocabulary projection."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from seq2seq_fast.nn.attention_kinds import make_attention
from seq2seq_fast.nn.cell_kinds import make_cell
from seq2seq_fast.nn.dropout import DecoderDropout, check_probabilities
from seq2seq_fast.nn.modules import options, reset_children
from seq2seq_fast.nn.readout import Readout
from seq2seq_fast.ops.checks import check_choice

POSITIONS = ("before", "after")


class DecoderLayers(nn.Module):
    """The modules of an :class:`AttentionDecoder`, whose docstring says what the arguments are."""

    def __init__(
        self,
        vocabulary_size: int,
        embedding_size: int,
        hidden_size: int,
        context_size: int,
        summary_size: int,
        *,
        attention: str | None = "additive",
        attention_size: int | None = None,
        attention_history: str | None = None,
        location_filters: int = 10,
        location_width: int = 15,
        attention_position: str = "before",
        conditional: bool = False,
        input_feeding: bool = True,
        cell: str = "gru",
        reset_after: bool = True,
        layer_norm: bool = False,
        layers: int = 1,
        readout: str = "maxout",
        readout_size: int | None = None,
        tie_embeddings: bool = False,
        dropout: float = 0.0,
        embedding_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        variational: bool = False,
        residual: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_choice("attention_position", attention_position, POSITIONS)
        if layers < 1:
            raise ValueError(f"layers must be at least 1; got {layers}")
        readout_size = embedding_size if readout_size is None else readout_size
        if attention is None and attention_position == "after":
            raise ValueError('attention_position="after" needs an attention; got attention=None')
        if tie_embeddings and readout_size != embedding_size:
            raise ValueError(
                f"tie_embeddings needs readout_size to be embedding_size, {embedding_size}; got {readout_size}"
            )
        check_probabilities(dropout=dropout, embedding_dropout=embedding_dropout, recurrent_dropout=recurrent_dropout)
        self.embedding_size, self.hidden_size, self.readout_size = embedding_size, hidden_size, readout_size
        self.cell, self.residual = cell, residual
        self.attends_before = attention_position == "before"
        self.input_feeding = input_feeding and not self.attends_before

        held = {f"recurrent.{i}": (hidden_size, recurrent_dropout) for i in range(layers)}
        places = {f"input.{i}": (hidden_size, dropout) for i in range(1, layers)}
        places |= {"embedding": (embedding_size, embedding_dropout), "readout": (readout_size, dropout)}
        self.dropout = DecoderDropout(held | places, held | places if variational else held)

        like: dict[str, Any] = {"device": device, "dtype": dtype}
        self.embedding = nn.Embedding(vocabulary_size, embedding_size, **like)
        self.attention = make_attention(
            attention, hidden_size, context_size, attention_size,
            history=attention_history, filters=location_filters, width=location_width, **like,
        )  # fmt: skip
        if conditional and (attention is None or not self.attends_before):
            raise ValueError('conditional needs an attention with attention_position="before"')
        form = {"reset_after": reset_after, "layer_norm": layer_norm, **like}
        self.context_cell = make_cell(cell, context_size, hidden_size, **form) if conditional else None
        second = readout_size if self.input_feeding else context_size if self.attends_before and not conditional else 0
        sizes = [embedding_size + second] + [hidden_size] * (layers - 1)
        self.cells = nn.ModuleList(make_cell(cell, size, hidden_size, **form) for size in sizes)
        state_size = hidden_size * (2 if cell == "lstm" else 1)
        self.bridges = nn.ModuleList(nn.Linear(summary_size, state_size, **like) for _ in range(layers))
        seen = hidden_size + context_size + (embedding_size if self.attends_before else 0)
        self.readout = Readout(readout, seen, readout_size, **like)
        self.output = nn.Linear(readout_size, vocabulary_size, **like)
        self.tie_embeddings = tie_embeddings
        self.tie_weights()

    def tie_weights(self) -> None:
        """With ``tie_embeddings``, one matrix again; ``to_empty`` makes two of it."""
        if self.tie_embeddings:
            self.output.weight = self.embedding.weight

    def reset_parameters(self) -> None:
        """As the layers draw them, ``torch.nn``'s way; a `Seq2Seq` draws its decoder's in its own."""
        self.tie_weights()
        reset_children(self)
        # A matrix that is both the embedding's and the projection's is the embedding's, as in a new decoder.
        if self.tie_embeddings:
            self.embedding.reset_parameters()

    def extra_repr(self) -> str:
        shown = options(
            cell=self.cell, layers=len(self.cells), position="before" if self.attends_before else "after",
            input_feeding=self.input_feeding or None, conditional=True if self.context_cell is not None else None,
            tie_embeddings=self.tie_embeddings or None, residual=self.residual or None,
        )  # fmt: skip
        return f"{self.embedding_size}, {self.hidden_size}, {shown}"
