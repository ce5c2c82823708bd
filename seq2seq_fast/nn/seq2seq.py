"""The model: encoder and decoder, saved and loaded as a folder of ``config.json`` and ``model.safetensors``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from seq2seq_fast.nn.attention_decoder import AttentionDecoder
from seq2seq_fast.nn.config import Seq2SeqConfig
from seq2seq_fast.nn.decoder_state import DecoderOutput, DecoderState, DecoderStep
from seq2seq_fast.nn.encoder import Encoder, EncoderOutput
from seq2seq_fast.nn.hub import MODEL_CARD, HubMixin
from seq2seq_fast.nn.initialization import initialize
from seq2seq_fast.nn.sharding import ForwardMethods


class Seq2Seq(
    ForwardMethods,
    nn.Module,
    HubMixin,
    library_name="seq2seq_fast",
    tags=["sequence-to-sequence", "attention", "gru"],
    paper_url="https://arxiv.org/abs/1409.0473",
    model_card_template=MODEL_CARD,
):
    """An encoder and a decoder with attention, made of a configuration.

    >>> model = Seq2Seq(Seq2SeqConfig(target_vocabulary_size=8000, source_vocabulary_size=8000))
    >>> output = model(source, source_lengths, target_input)
    >>> loss = torch.nn.functional.cross_entropy(model.logits(output.readout).flatten(0, 1), target_output.flatten())
    >>> model.save_pretrained("folder")
    >>> model = Seq2Seq.from_pretrained("folder")

    Decoding goes by states, see :class:`DecoderState`::

        state = model.start(model.encode(source, source_lengths))
        logits, state, weights = model.step(tokens, state)
    """

    forward_methods = ("encode", "start", "step", "logits")

    config: Seq2SeqConfig

    def __init__(
        self,
        config: Seq2SeqConfig | dict[str, Any],
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.config = config = Seq2SeqConfig.from_dict(config) if isinstance(config, dict) else config
        # What save_pretrained writes: the architecture, not where this model happened to be made.
        self._hub_mixin_config = config
        shared: dict[str, Any] = {
            "device": device,
            "dtype": dtype,
            "cell": config.cell,
            "reset_after": config.reset_after,
            "layer_norm": config.layer_norm,
            "dropout": config.dropout,
            "embedding_dropout": config.embedding_dropout,
            "recurrent_dropout": config.recurrent_dropout,
            "variational": config.variational,
            "residual": config.residual,
        }
        self.encoder = Encoder(
            config.source_size,
            config.encoder_hidden_size,
            vocabulary_size=config.source_vocabulary_size,
            layers=config.encoder_layers,
            bidirectional=config.bidirectional,
            **shared,
        )
        self.decoder = AttentionDecoder(
            config.target_vocabulary_size,
            config.target_size,
            config.decoder_hidden_size,
            self.encoder.output_size,
            self.encoder.summary_size,
            attention=config.attention,
            attention_size=config.attention_size,
            attention_history=config.attention_history,
            location_filters=config.location_filters,
            location_width=config.location_width,
            attention_position=config.attention_position,
            conditional=config.conditional,
            input_feeding=config.input_feeding,
            layers=config.decoder_layers,
            readout=config.readout,
            readout_size=config.readout_size,
            tie_embeddings=config.tie_embeddings,
            **shared,
        )
        self.reset_parameters()

    def tie_weights(self) -> None:
        """The matrices that are one by the configuration, one again; ``to_empty`` makes several of it."""
        self.decoder.tie_weights()
        if self.config.share_embeddings and self.encoder.embedding is not None:
            self.encoder.embedding.weight = self.decoder.embedding.weight

    def reset_parameters(self) -> None:
        """Weights to start training from, see :func:`seq2seq_fast.nn.initialization.initialize`.

        A model larger than one machine's memory is made on ``device="meta"``, distributed, given memory by
        ``to_empty`` and drawn by this.
        """
        self.tie_weights()
        initialize(self)

    def encode(self, source: Tensor, source_lengths: Tensor | None = None) -> EncoderOutput:
        """source: tokens [B, Tx] or features [B, Tx, F]; source_lengths [B]. See :class:`Encoder`."""
        return self.encoder(source, source_lengths)

    def start(self, encoded: EncoderOutput, *, project_values: bool = False) -> DecoderState:
        """The decoder's state before the first position; see :meth:`AttentionDecoder.initial_state`."""
        return self.decoder.initial_state(encoded, project_values=project_values)

    def forward(
        self,
        source: Tensor,
        source_lengths: Tensor | None,
        target_input: Tensor,
        *,
        need_weights: bool = True,
    ) -> DecoderOutput:
        """Encode sources and decode given targets (teacher forcing).

        Args:
            source: tokens [B, Tx] or features [B, Tx, F]. source_lengths: [B] or None.
            target_input: [B, Ty], the previous word of each position (begin of sentence first).

        Returns:
            readout [B, Ty, R] (``model.logits(readout)`` is [B, Ty, V]), attention weights, the last state.
        """
        state = self.decoder.initial_state(self.encoder(source, source_lengths))
        return self.decoder(target_input, state, need_weights=need_weights)

    def step(self, tokens: Tensor, state: DecoderState, *, need_weights: bool = True) -> DecoderStep:
        """One position; see :meth:`AttentionDecoder.step`."""
        return self.decoder.step(tokens, state, need_weights=need_weights)

    def logits(self, readout: Tensor) -> Tensor:
        """readout [..., R] -> logits [..., V]."""
        return self.decoder.logits(readout)
