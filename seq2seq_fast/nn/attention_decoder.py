"""The decoder: recurrent layers that attend to the source, whole sequences or one position at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from seq2seq_fast.nn.attention import Attention
from seq2seq_fast.nn.attention_history import AttentionHistory
from seq2seq_fast.nn.cells import hidden_of, step_beams
from seq2seq_fast.nn.decoder_layers import DecoderLayers
from seq2seq_fast.nn.decoder_state import DecoderOutput, DecoderState, DecoderStep, per_beam
from seq2seq_fast.nn.encoder import EncoderOutput
from seq2seq_fast.nn.fused_layer import fused_layer
from seq2seq_fast.nn.location_attention import LocationAttention
from seq2seq_fast.nn.modules import parameter_dtype
from seq2seq_fast.nn.origin import check_memory
from seq2seq_fast.nn.recurrence import mask_hidden, run_recurrence
from seq2seq_fast.nn.sharding import ForwardMethods
from seq2seq_fast.ops.attention_decoder import decode_sequence
from seq2seq_fast.ops.attention_decoder_step import attention_decoder_step
from seq2seq_fast.ops.checks import check_tensor, check_tokens


class AttentionDecoder(ForwardMethods, DecoderLayers):
    """A recurrent decoder with attention.

    Attention "before" the cell (Bahdanau, Cho, Bengio 2014, arXiv 1409.0473): the first layer's previous state is the
    query, ``c_i = attend(s_{i-1})``, ``s_i = cell([y_{i-1}, c_i], s_{i-1})``, the layers above read the layer below,
    and the readout sees ``[s_i, c_i, y_{i-1}]`` of the top layer. With additive attention the first layer is one call
    of :func:`seq2seq_fast.attention_decoder` for a whole sequence.

    Attention "after" the layers (Luong, Pham, Manning 2015, arXiv 1508.04025): the top state s_i is the query, the
    readout sees ``[s_i, c_i]``, and with ``input_feeding`` it goes into the next position's input.

    Without attention (``attention=None``; Cho et al. 2014, arXiv 1406.1078) c is the encoder's final state at every
    position, and all else is as in "before".

    Args:
        vocabulary_size: V. embedding_size: E. hidden_size: H.
        context_size: D, the encoder's ``output_size``. summary_size: the encoder's ``summary_size``.
        attention: "additive", "multiplicative", "dot" (then D must be H) or None.
        attention_size: A of additive attention; H by default.
        attention_history: "location", "cumulative" or "coverage", see `HistoryAttention` (additive attention only;
            fused on a CPU, a position at a time). location_filters, location_width: its F.
        attention_position: "before" or "after". conditional: the first layer's attention stands between two cells, as
            Nematus has it (Sennrich et al. 2017, arXiv 1703.04357, section 2): ``s' = cell(y_{i-1}, s_{i-1})``, ``c_i =
            attend(s')``, ``s_i = cell'(c_i, s')``; whole sequences run position by position.
        input_feeding: see above; only "after" looks at it.
        cell: "rnn", "gru" or "lstm". reset_after: the form of the GRU, see :func:`seq2seq_fast.gru_cell`.
        layer_norm: cells with layer normalisation, which run step by step in the reference operators.
        layers: how many.
        readout: "maxout" (the paper) or "tanh". readout_size: R; E by default.
        tie_embeddings: the vocabulary projection has the embedding's weight (then R must be E).
        dropout: on the input of every layer above the first and on the readout. embedding_dropout: on the embedding.
        recurrent_dropout: on the recurrent state, one mask for all positions.
        variational: one mask for all positions in ``dropout`` and ``embedding_dropout`` too.
        residual: every layer above the first adds its input to its output.
        device, dtype: of the parameters.
    """

    forward_methods = ("initial_state", "step", "logits")

    def initial_state(self, encoded: EncoderOutput, *, project_values: bool = False) -> DecoderState:
        """The state before the first position: ``s_0 = tanh(W h + b)`` of the encoder's summary, for every layer.

        In training mode this draws the dropout masks that hold for all positions.

        Args:
            project_values: keep the values times the first layer's gate weights, so that a step no longer multiplies
                the context ("before" with additive attention). Pays where sources are short and many steps follow.
        """
        layers: list[Any] = []
        for cell, bridge in zip(self.cells, self.bridges, strict=True):
            initial = torch.tanh(bridge(encoded.summary)).to(parameter_dtype(cell, encoded.summary.dtype))
            layers.append(initial.chunk(2, dim=1) if self.cell == "lstm" else initial)
        first, batch = hidden_of(layers[0]), encoded.summary.shape[0]
        memory = context = feed = history = None
        if self.attention is None:
            context = hidden_of(encoded.final_states[-1])
        else:
            weight = None
            if project_values and (fused := self._fused_layer()) is not None:
                weight = fused["weight_ih"][:, self.embedding_size :]
            memory = self.attention.memory(encoded.outputs, lengths=encoded.lengths, context_weight=weight)
            if isinstance(self.attention, LocationAttention):
                history = self.attention.first(memory)
        if self.input_feeding:
            feed = first.new_zeros(batch, self.readout_size)
        masks = self.dropout.masks(batch, first)
        return DecoderState(tuple(layers), memory, context, feed, history, masks)

    def forward(self, tokens: Tensor, state: DecoderState, *, need_weights: bool = True) -> DecoderOutput:
        """All positions of given tokens (teacher forcing).

        Args:
            tokens: [B, Ty] of an integer dtype, the previous word of each position.
            state: from :meth:`initial_state`, or of an earlier call, without beams.
            need_weights: return the attention weights.
        """
        check_tensor("tokens", tokens, "[B, Ty]", state.batch, None)
        check_tokens("tokens", tokens)
        if state.beams is not None:
            raise ValueError(f"whole sequences need a state without beams; this one has {state.beams}")
        self._check_memory(state)
        embedded = self.dropout(self.embedding(tokens), "embedding", state.masks)
        fused = self._fused_layer()
        if not self._is_sequential(fused):
            return self._run_sequence(embedded, state, need_weights, fused)
        readouts: list[Any] = []
        weights: list[Any] = []
        for position in embedded.unbind(1):
            readout, state, attention = self._advance(position, state, need_weights, fused)
            readouts.append(readout)
            weights.append(attention)
        stacked = _stack(readouts, embedded.new_empty(*tokens.shape, self.readout_size))
        if not need_weights:
            return DecoderOutput(stacked, None, state)
        width = state.source().source_length
        return DecoderOutput(stacked, _stack(weights, embedded.new_empty(*tokens.shape, width)), state)

    def step(self, tokens: Tensor, state: DecoderState, *, need_weights: bool = True) -> DecoderStep:
        """One position: tokens [B], or [B, K] for a state with K beams -> logits, the next state, attention weights."""
        beams = () if state.beams is None else (state.beams,)
        check_tensor("tokens", tokens, "[B, K]" if beams else "[B]", state.batch, *beams)
        check_tokens("tokens", tokens)
        self._check_memory(state)
        embedded = self.dropout(self.embedding(tokens), "embedding", state.masks)
        readout, state, weights = self._advance(embedded, state, need_weights, self._fused_layer())
        return DecoderStep(self.output(readout), state, weights)

    def _check_memory(self, state: DecoderState) -> None:
        """A memory of other weights must not go unnoticed where an operator takes the attention's place."""
        if state.memory is not None and isinstance(self.attention, Attention):
            check_memory(state.memory, self.attention)

    def logits(self, readout: Tensor) -> Tensor:
        """readout [..., R] -> logits [..., V]."""
        return self.output(readout)

    def _fused_layer(self) -> dict[str, Any] | None:
        """The first layer as arguments of the ``attention_decoder`` operators; None where it has to be called."""
        attends_first = self.attends_before and self.context_cell is None
        return fused_layer(self.attention, self.cells[0]) if attends_first else None

    def _is_sequential(self, fused: dict[str, Any] | None) -> bool:
        """Whether a position's input waits for the position before in a way that no operator serves."""
        if isinstance(self.attention, LocationAttention):
            return True
        if self.attends_before:
            return self.attention is not None and fused is None
        return self.input_feeding

    def _run_sequence(
        self, embedded: Tensor, state: DecoderState, need_weights: bool, fused: dict[str, Any] | None
    ) -> DecoderOutput:
        """All positions at once: embedded [B, Ty, E]."""
        layers: list[Any] = []
        hidden, context, weights = embedded, None, None
        for index, cell in enumerate(self.cells):
            state_mask = state.masks.get(f"recurrent.{index}")
            if index == 0 and fused is not None:
                hidden, context, weights, final = decode_sequence(
                    embedded, state.layers[0], state.source(), state_mask=state_mask, need_weights=need_weights, **fused
                )
            else:
                if index == 0 and self.attends_before:
                    context, _, _ = self._attend(embedded, state, False)
                inputs = self._layer_input(index, hidden, context, state)
                outputs, final = run_recurrence(cell, inputs, state.layers[index], state_mask=state_mask)
                hidden = outputs + inputs if self.residual and index > 0 else outputs
            layers.append(final)
        if not self.attends_before:
            context, weights, _ = self._attend(hidden, state, need_weights)
        readout = self._read(hidden, context, embedded, state)
        return DecoderOutput(readout, weights, replace(state, layers=tuple(layers)))

    def _advance(
        self, embedded: Tensor, state: DecoderState, need_weights: bool, fused: dict[str, Any] | None
    ) -> tuple[Tensor, DecoderState, Tensor | None]:
        """One position: embedded [B, E] or [B, K, E] -> readout, the next state, attention weights."""
        layers: list[Any] = []
        hidden, context, weights, history = embedded, None, None, None
        for index, cell in enumerate(self.cells):
            previous = state.layers[index]
            state_mask = state.masks.get(f"recurrent.{index}")
            if state_mask is not None:
                state_mask = per_beam(state_mask, embedded).expand_as(hidden_of(previous))
            if index == 0 and fused is not None:
                new, context, weights = attention_decoder_step(
                    embedded, previous, state.source(), state_mask=state_mask, need_weights=need_weights, **fused
                )
                hidden = hidden_of(new)
            else:
                previous = mask_hidden(previous, state_mask)
                if index == 0 and self.context_cell is not None:
                    previous = step_beams(cell, embedded, previous)
                if index == 0 and self.attends_before:
                    context, weights, history = self._attend(hidden_of(previous), state, need_weights)
                if index == 0 and self.context_cell is not None:
                    cell, inputs = self.context_cell, context
                else:
                    inputs = self._layer_input(index, hidden, context, state)
                new = step_beams(cell, inputs, previous)
                hidden = hidden_of(new) + inputs if self.residual and index > 0 else hidden_of(new)
            layers.append(new)
        if not self.attends_before:
            context, weights, history = self._attend(hidden, state, need_weights)
        readout = self._read(hidden, context, embedded, state)
        feed = readout if self.input_feeding else None
        return readout, replace(state, layers=tuple(layers), feed=feed, history=history), weights

    def _attend(
        self, query: Tensor, state: DecoderState, need_weights: bool
    ) -> tuple[Tensor, Tensor | None, AttentionHistory | None]:
        """The context of each query [B, ..., H], the same for all of them in a decoder without attention."""
        if self.attention is None:
            return per_beam(state.fixed_context(), query).expand(*query.shape[:-1], -1), None, None
        if isinstance(self.attention, LocationAttention):
            assert state.history is not None
            context, weights, history = self.attention.attend_next(query, state.source(), state.history)
            return context, weights if need_weights else None, history
        return (*self.attention(query, memory=state.source(), need_weights=need_weights), None)

    def _layer_input(self, index: int, hidden: Tensor, context: Tensor | None, state: DecoderState) -> Tensor:
        if index > 0:
            return self.dropout(hidden, f"input.{index}", state.masks)
        parts = [part for part in (hidden, context, state.feed) if part is not None]
        return torch.cat(parts, dim=-1) if len(parts) > 1 else hidden

    def _read(self, hidden: Tensor, context: Tensor | None, embedded: Tensor, state: DecoderState) -> Tensor:
        assert context is not None
        seen = (hidden, context, embedded) if self.attends_before else (hidden, context)
        return self.dropout(self.readout(*seen), "readout", state.masks)


def _stack(rows: list[Tensor], empty: Tensor) -> Tensor:
    """Each position's [B, X] as [B, Ty, X]; ``empty`` where there is no position."""
    return torch.stack(rows, dim=1) if rows else empty
