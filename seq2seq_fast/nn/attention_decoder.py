"""The decoder: recurrent layers that attend to the source, whole sequences or one position at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seq2seq_fast.nn.attention import AdditiveAttention, Attention, DotProductAttention, MultiplicativeAttention
from seq2seq_fast.nn.cells import hidden_of, make_cell, map_state
from seq2seq_fast.nn.decoder_state import DecoderOutput, DecoderState, DecoderStep
from seq2seq_fast.nn.dropout import check_probability, dropout_mask
from seq2seq_fast.nn.encoder import EncoderOutput
from seq2seq_fast.nn.readout import Readout
from seq2seq_fast.nn.recurrence import mask_hidden, run_recurrence
from seq2seq_fast.ops.attention_decoder import attention_decoder
from seq2seq_fast.ops.attention_decoder_step import attention_decoder_step
from seq2seq_fast.ops.checks import check_choice, check_tensor

ATTENTIONS = ("additive", "multiplicative", "dot")
POSITIONS = ("before", "after")


class AttentionDecoder(nn.Module):
    """A recurrent decoder with attention.

    Attention "before" the cell (Bahdanau, Cho, Bengio 2014, arXiv 1409.0473): the first layer's previous state is the
    query, ``c_i = attend(s_{i-1})``, ``s_i = cell([y_{i-1}, c_i], s_{i-1})``, the layers above read the layer below,
    and the readout sees ``[s_i, c_i, y_{i-1}]`` of the top layer. With additive attention the first layer is one call
    of :func:`seq2seq_fast.attention_decoder` for a whole sequence.

    Attention "after" the layers (Luong, Pham, Manning 2015, arXiv 1508.04025): the top state s_i is the query, the readout
    sees ``[s_i, c_i]``, and with ``input_feeding`` it goes into the next position's input.

    Without attention (``attention=None``; Cho et al. 2014, arXiv 1406.1078) c is the encoder's final state at every
    position, and all else is as in "before".

    Args:
        vocabulary_size: V. embedding_size: E. hidden_size: H.
        context_size: D, the encoder's ``output_size``. summary_size: the encoder's ``summary_size``.
        attention: "additive", "multiplicative", "dot" (then D must be H) or None.
        attention_size: A of additive attention; H by default.
        attention_position: "before" or "after". input_feeding: see above; only "after" looks at it.
        cell: "rnn", "gru" or "lstm". reset_after: the form of the GRU, see :func:`seq2seq_fast.gru_cell`.
        layers: how many.
        readout: "maxout" (the paper) or "tanh". readout_size: R; E by default.
        tie_embeddings: the vocabulary projection has the embedding's weight (then R must be E).
        dropout: on the input of every layer above the first and on the readout. embedding_dropout: on the embedding.
        recurrent_dropout: on the recurrent state, one mask for all positions.
        variational: one mask for all positions in ``dropout`` and ``embedding_dropout`` too.
        residual: every layer above the first adds its input to its output.
    """

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
        attention_position: str = "before",
        input_feeding: bool = True,
        cell: str = "gru",
        reset_after: bool = True,
        layers: int = 1,
        readout: str = "maxout",
        readout_size: int | None = None,
        tie_embeddings: bool = False,
        dropout: float = 0.0,
        embedding_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        variational: bool = False,
        residual: bool = False,
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
        for name, probability in (
            ("dropout", dropout),
            ("embedding_dropout", embedding_dropout),
            ("recurrent_dropout", recurrent_dropout),
        ):
            check_probability(name, probability)
        self.hidden_size, self.readout_size = hidden_size, readout_size
        self.dropout, self.embedding_dropout, self.recurrent_dropout = dropout, embedding_dropout, recurrent_dropout
        self.variational, self.residual = variational, residual
        self.attends_before = attention_position == "before"
        self.input_feeding = input_feeding and not self.attends_before

        self.embedding = nn.Embedding(vocabulary_size, embedding_size)
        self.attention = make_attention(attention, hidden_size, context_size, attention_size)
        second = context_size if self.attends_before else readout_size if self.input_feeding else 0
        sizes = [embedding_size + second] + [hidden_size] * (layers - 1)
        self.cells = nn.ModuleList(make_cell(cell, size, hidden_size, reset_after=reset_after) for size in sizes)
        state_size = hidden_size * (2 if cell == "lstm" else 1)
        self.bridges = nn.ModuleList(nn.Linear(summary_size, state_size) for _ in range(layers))
        seen = hidden_size + context_size + (embedding_size if self.attends_before else 0)
        self.readout = Readout(readout, seen, readout_size)
        self.output = nn.Linear(readout_size, vocabulary_size)
        if tie_embeddings:
            self.output.weight = self.embedding.weight

    def initial_state(self, encoded: EncoderOutput, *, project_values: bool = False) -> DecoderState:
        """The state before the first position: ``s_0 = tanh(W h + b)`` of the encoder's summary, for every layer.

        In training mode this draws the dropout masks that hold for all positions.

        Args:
            project_values: keep the values times the first layer's gate weights, so that a step no longer multiplies the
                context ("before" with additive attention). Pays where sources are short and many steps follow.
        """
        layers: list[Any] = []
        for cell, bridge in zip(self.cells, self.bridges, strict=True):
            initial = torch.tanh(bridge(encoded.summary)).to(cell.weight_hh.dtype)
            layers.append(initial.chunk(2, dim=1) if cell.kind == "lstm" else initial)
        memory = context = feed = None
        if self.attention is None:
            context = hidden_of(encoded.final_states[-1])
        else:
            weight = self._context_weight() if project_values and self._fusible() else None
            memory = self.attention.memory(encoded.outputs, lengths=encoded.lengths, context_weight=weight)
        if self.input_feeding:
            feed = self.output.weight.new_zeros(encoded.summary.shape[0], self.readout_size)
        return DecoderState(tuple(layers), memory, context, feed, self._draw_masks(encoded.summary.shape[0]))

    def forward(self, tokens: Tensor, state: DecoderState, *, need_weights: bool = True) -> DecoderOutput:
        """All positions of given tokens (teacher forcing).

        Args:
            tokens: [B, Ty] of an integer dtype, the previous word of each position.
            state: from :meth:`initial_state`, or of an earlier call, without beams.
            need_weights: return the attention weights.
        """
        check_tensor("tokens", tokens, "[B, Ty]", state.batch, None)
        if state.beams is not None:
            raise ValueError(f"whole sequences need a state without beams; this one has {state.beams}")
        embedded = self._drop(self.embedding(tokens), "embedding", self.embedding_dropout, state)
        if tokens.shape[1] > 0 and self._is_plain():
            return self._run_sequence(embedded, state, need_weights)
        readouts, weights = [], []
        for position in embedded.unbind(1):
            readout, state, attention = self._advance(position, state, need_weights)
            readouts.append(readout)
            weights.append(attention)
        if not readouts:
            sources = None if state.memory is None or not need_weights else state.memory.keys
            empty = None if sources is None else sources.new_empty(*tokens.shape, sources.shape[1])
            return DecoderOutput(embedded.new_empty(*tokens.shape, self.readout_size), empty, state)
        stacked = torch.stack(weights, dim=1) if weights[0] is not None else None
        return DecoderOutput(torch.stack(readouts, dim=1), stacked, state)

    def step(self, tokens: Tensor, state: DecoderState, *, need_weights: bool = True) -> DecoderStep:
        """One position: tokens [B], or [B, K] for a state with K beams -> logits, the next state, attention weights."""
        beams = () if state.beams is None else (state.beams,)
        check_tensor("tokens", tokens, "[B, K]" if beams else "[B]", state.batch, *beams)
        embedded = self._drop(self.embedding(tokens), "embedding", self.embedding_dropout, state)
        readout, state, weights = self._advance(embedded, state, need_weights)
        return DecoderStep(self.logits(readout), state, weights)

    def logits(self, readout: Tensor) -> Tensor:
        """readout [..., R] -> logits [..., V]."""
        return self.output(readout)

    def _fusible(self) -> bool:
        """Whether the first layer is the ``attention_decoder`` operator."""
        return self.attends_before and isinstance(self.attention, AdditiveAttention)

    def _is_plain(self) -> bool:
        """Whether no position's input waits for an earlier position's output, except in ways one operator serves."""
        if self.attends_before:
            return self.attention is None or self._fusible()
        return not self.input_feeding

    def _context_weight(self) -> Tensor:
        return self.cells[0].weight_ih[:, self.embedding.embedding_dim :]

    def _run_sequence(self, embedded: Tensor, state: DecoderState, need_weights: bool) -> DecoderOutput:
        """All positions at once: embedded [B, Ty, E]."""
        layers, weights, context = [], None, None
        hidden = embedded
        for index, cell in enumerate(self.cells):
            state_mask = state.masks.get(f"recurrent.{index}")
            if index == 0 and self._fusible():
                memory = state.memory
                hidden, context, weights, final = attention_decoder(
                    embedded, state.layers[0], memory.keys, memory.values, lengths=memory.lengths, mask=memory.mask,
                    state_mask=state_mask, need_weights=need_weights, **self._first_layer(),
                )  # fmt: skip
            else:
                inputs = hidden
                if index > 0:
                    inputs = self._drop(hidden, f"input.{index}", self.dropout, state)
                elif self.attention is None:
                    context = state.context.unsqueeze(1).expand(-1, embedded.shape[1], -1)
                    inputs = torch.cat([embedded, context], dim=2)
                outputs, final = run_recurrence(cell, inputs, state.layers[index], state_mask=state_mask)
                hidden = outputs + inputs if self.residual and index > 0 else outputs
            layers.append(final)
        if not self.attends_before:
            context, weights = self.attention(hidden, memory=state.memory, need_weights=need_weights)
        readout = self._read(hidden, context, embedded, state)
        return DecoderOutput(readout, weights, replace(state, layers=tuple(layers)))

    def _advance(
        self, embedded: Tensor, state: DecoderState, need_weights: bool
    ) -> tuple[Tensor, DecoderState, Tensor | None]:
        """One position: embedded [B, E] or [B, K, E] -> readout, the next state, attention weights."""
        layers = list(state.layers)
        weights = None
        hidden = context = embedded
        for index, cell in enumerate(self.cells):
            previous = state.layers[index]
            state_mask = _per_beam(state.masks.get(f"recurrent.{index}"), embedded)
            if index == 0 and self._fusible():
                # The operator wants a mask of the state's very shape.
                if state_mask is not None:
                    state_mask = state_mask.expand_as(hidden_of(previous))
                layers[0], context, weights = attention_decoder_step(
                    embedded, previous, state.memory, state_mask=state_mask, need_weights=need_weights,
                    **self._first_layer(),
                )  # fmt: skip
                hidden = hidden_of(layers[0])
                continue
            inputs = hidden
            previous = mask_hidden(previous, state_mask)
            if index > 0:
                inputs = self._drop(hidden, f"input.{index}", self.dropout, state)
            elif self.attends_before:
                if self.attention is None:
                    context = _per_beam(state.context, embedded).expand(*embedded.shape[:-1], -1)
                else:
                    context, weights = self.attention(
                        hidden_of(previous), memory=state.memory, need_weights=need_weights
                    )
                inputs = torch.cat([embedded, context], dim=-1)
            elif state.feed is not None:
                inputs = torch.cat([embedded, state.feed], dim=-1)
            layers[index] = _step_beams(cell, inputs, previous)
            hidden = hidden_of(layers[index])
            hidden = hidden + inputs if self.residual and index > 0 else hidden
        if not self.attends_before:
            context, weights = self.attention(hidden, memory=state.memory, need_weights=need_weights)
        readout = self._read(hidden, context, embedded, state)
        feed = readout if self.input_feeding else None
        return readout, replace(state, layers=tuple(layers), feed=feed), weights

    def _read(self, hidden: Tensor, context: Tensor, embedded: Tensor, state: DecoderState) -> Tensor:
        seen = (hidden, context, embedded) if self.attends_before else (hidden, context)
        return self._drop(self.readout(*seen), "readout", self.dropout, state)

    def _first_layer(self) -> dict[str, Any]:
        """The first layer's arguments of the ``attention_decoder`` operators."""
        cell, attention = self.cells[0], self.attention
        return {
            "query_weight": attention.query_projection.weight,
            "query_bias": attention.query_projection.bias,
            "v": attention.v,
            "weight_ih": cell.weight_ih,
            "weight_hh": cell.weight_hh,
            "bias_ih": cell.bias_ih,
            "bias_hh": cell.bias_hh,
            "cell": cell.kind,
            "reset_after": cell.reset_after,
        }

    def _draw_masks(self, batch: int) -> dict[str, Tensor]:
        """Dropout masks that hold for all positions, by the name under which they are looked up."""
        if not self.training:
            return {}
        wanted: dict[str, tuple[int, float]] = {
            f"recurrent.{index}": (self.hidden_size, self.recurrent_dropout) for index in range(len(self.cells))
        }
        if self.variational:
            wanted["embedding"] = (self.embedding.embedding_dim, self.embedding_dropout)
            wanted["readout"] = (self.readout_size, self.dropout)
            for index in range(1, len(self.cells)):
                wanted[f"input.{index}"] = (self.hidden_size, self.dropout)
        like = self.cells[0].weight_hh
        return {
            name: dropout_mask(like, batch, size, probability=probability)
            for name, (size, probability) in wanted.items()
            if probability > 0
        }

    def _drop(self, units: Tensor, name: str, probability: float, state: DecoderState) -> Tensor:
        """Dropout on [B, E] or [B, T or K, E], with the state's mask of that name if it has one."""
        if not self.training or probability == 0:
            return units
        mask = _per_beam(state.masks.get(name), units)
        return F.dropout(units, probability) if mask is None else units * mask


def make_attention(
    kind: str | None, query_size: int, value_size: int, attention_size: int | None = None
) -> Attention | None:
    """The attention layer named "additive", "multiplicative" or "dot"; None for None."""
    if kind is None:
        return None
    check_choice("attention", kind, ATTENTIONS)
    if kind == "additive":
        return AdditiveAttention(query_size, value_size, attention_size or query_size)
    if kind == "multiplicative":
        return MultiplicativeAttention(query_size, value_size)
    if query_size != value_size:
        raise ValueError(
            "attention=\"dot\" needs the decoder's hidden_size to be the encoder's output size; "
            f"got {query_size} and {value_size}"
        )
    return DotProductAttention()


def _per_beam(rows: Tensor | None, like: Tensor) -> Tensor | None:
    """[B, X] with an axis for beams or positions where ``like`` has one."""
    return rows.unsqueeze(1) if rows is not None and like.dim() == 3 else rows


def _step_beams(cell: Any, inputs: Tensor, state: Any) -> Any:
    """A cell's step on [B, E] or [B, K, E]."""
    if inputs.dim() == 2:
        return cell(inputs, state)
    flat = cell(inputs.flatten(0, 1), map_state(lambda part: part.flatten(0, 1), state))
    return map_state(lambda part: part.unflatten(0, inputs.shape[:2]), flat)
