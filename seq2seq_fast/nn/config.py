"""The model's configuration: plain JSON types, checked when it is made."""

from __future__ import annotations

from dataclasses import dataclass, fields

from seq2seq_fast.nn.attention_history import HISTORIES
from seq2seq_fast.nn.attention_kinds import ATTENTIONS
from seq2seq_fast.nn.cell_kinds import CELLS
from seq2seq_fast.nn.decoder_layers import POSITIONS
from seq2seq_fast.nn.readout import READOUTS

_AT_LEAST_ONE = (
    "source_vocabulary_size", "target_vocabulary_size", "source_size", "target_size", "encoder_hidden_size",
    "decoder_hidden_size", "attention_size", "readout_size", "encoder_layers", "decoder_layers",
    "location_filters", "location_width",
)  # fmt: skip
_PROBABILITIES = ("dropout", "embedding_dropout", "recurrent_dropout")
_CHOICES = {
    "cell": CELLS,
    "attention": (*ATTENTIONS, None),
    "attention_history": (*HISTORIES, None),
    "attention_position": POSITIONS,
    "readout": READOUTS,
}
# Far more than any memory holds; sizes are multiplied in 64 bits.
_LARGEST = 2**31 - 1
_OPTIONAL = ("source_vocabulary_size", "attention_size", "readout_size")
_SWITCHES = (
    "reset_after", "layer_norm", "bidirectional", "conditional", "input_feeding", "tie_embeddings", "share_embeddings",
    "variational", "residual",
)  # fmt: skip


@dataclass(frozen=True)
class Seq2SeqConfig:
    """What the model is made of: an encoder and an attention decoder.

    Attributes:
        target_vocabulary_size: V, the number of target pieces.
        source_vocabulary_size: The number of source pieces; None where the source is features [B, Tx, source_size].
        source_size: Size of the source embedding, or of the features where there is no vocabulary.
        target_size: Size of the target embedding.
        encoder_hidden_size: Units of each of the encoder's layers, in each direction.
        decoder_hidden_size: Units of each of the decoder's layers.
        encoder_layers: Recurrent layers of the encoder.
        decoder_layers: Recurrent layers of the decoder.
        bidirectional: The encoder reads both ways.
        cell: Recurrent cell: rnn, gru or lstm.
        reset_after: Form of the GRU: true is cuDNN's, false that of Bahdanau et al.
        layer_norm: Cells with layer normalisation (Ba et al. 2016). Reference operators alone serve them, step by step.
        attention: What scores the source positions: additive, multiplicative, dot, or null for a decoder without.
        attention_size: Units of additive attention; the decoder's hidden size by default.
        attention_history: What the scores of additive attention know of the weights before: the last ones' convolution
            (location, Chorowski et al. 2015), that of their sum (cumulative), their sum over a fertility (coverage, Tu
            et al. 2016), or null for nothing. Sequences run a position at a time, so trainings are slower.
        location_filters: Filters of the convolution.
        location_width: Source positions that a filter sees, an odd number.
        attention_position: Attention before the decoder's cell (Bahdanau et al.) or after it (Luong et al.).
        conditional: The decoder's first layer is two cells with the attention between them, as in Nematus (Sennrich et
            al. 2017); trainings run position by position.
        input_feeding: With attention after the cell, the readout goes into the next position's input.
        readout: The layer before the vocabulary: maxout (Bahdanau et al.) or tanh.
        readout_size: Units of the readout; the target embedding's size by default.
        tie_embeddings: One matrix for the target embedding and the vocabulary projection.
        share_embeddings: One matrix for the source and the target embedding (one vocabulary for both languages).
        dropout: Share of units dropped between layers and on the readout.
        embedding_dropout: Share of units dropped on the embeddings.
        recurrent_dropout: Share of units dropped on the recurrent state, the same at all positions.
        variational: One dropout mask for all positions, everywhere.
        residual: Every layer above the first adds its input to its output.

    Raises:
        TypeError, ValueError: an argument is not what it must be; the message names it, what was given and what is
            wanted.
    """

    target_vocabulary_size: int
    source_vocabulary_size: int | None = None
    source_size: int = 256
    target_size: int = 256
    encoder_hidden_size: int = 512
    decoder_hidden_size: int = 512
    encoder_layers: int = 1
    decoder_layers: int = 1
    bidirectional: bool = True
    cell: str = "gru"
    reset_after: bool = True
    layer_norm: bool = False
    attention: str | None = "additive"
    attention_size: int | None = None
    attention_history: str | None = None
    location_filters: int = 10
    location_width: int = 15
    attention_position: str = "before"
    conditional: bool = False
    input_feeding: bool = True
    readout: str = "maxout"
    readout_size: int | None = None
    tie_embeddings: bool = False
    share_embeddings: bool = False
    dropout: float = 0.0
    embedding_dropout: float = 0.0
    recurrent_dropout: float = 0.0
    variational: bool = False
    residual: bool = False

    def __post_init__(self) -> None:
        for name in _AT_LEAST_ONE:
            value = getattr(self, name)
            if value is None and name in _OPTIONAL:
                continue
            if type(value) is not int:
                wanted = "an integer or None" if name in _OPTIONAL else "an integer"
                raise TypeError(f"{name} must be {wanted}; got {value!r}")
            if value < 1:
                raise ValueError(f"{name} must be at least 1; got {value}")
            if value > _LARGEST:
                raise ValueError(f"{name} must be at most {_LARGEST:,}; got a larger number")
        for name in _PROBABILITIES:
            value = getattr(self, name)
            if type(value) not in (int, float):
                raise TypeError(f"{name} must be a number; got {value!r}")
            if not 0 <= value < 1:
                raise ValueError(f"{name} must be at least 0 and less than 1; got {value}")
        for name in _SWITCHES:
            if type(getattr(self, name)) is not bool:
                raise TypeError(f"{name} must be True or False; got {getattr(self, name)!r}")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}; got {getattr(self, name)!r}")
        self._check_together()

    def _check_together(self) -> None:
        encoder_output = self.encoder_hidden_size * (2 if self.bidirectional else 1)
        if self.attention is None and self.attention_position == "after":
            raise ValueError('attention_position="after" needs an attention; got attention=None')
        if self.conditional and (self.attention is None or self.attention_position == "after"):
            raise ValueError(
                'conditional needs an attention with attention_position="before"; '
                f"got attention={self.attention!r}, attention_position={self.attention_position!r}"
            )
        if self.attention_history is not None and self.attention != "additive":
            raise ValueError(f'attention_history needs attention="additive"; got attention={self.attention!r}')
        if self.location_width % 2 == 0:
            raise ValueError(f"location_width must be odd, so that a filter has a centre; got {self.location_width}")
        if self.attention == "dot" and self.decoder_hidden_size != encoder_output:
            raise ValueError(
                'attention="dot" needs decoder_hidden_size to be the encoder\'s output size, '
                f"{encoder_output}; got {self.decoder_hidden_size}"
            )
        if self.tie_embeddings and self.readout_size not in (None, self.target_size):
            raise ValueError(
                f"tie_embeddings needs readout_size to be target_size, {self.target_size}; got {self.readout_size}"
            )
        if self.share_embeddings:
            source = (self.source_vocabulary_size, self.source_size)
            target = (self.target_vocabulary_size, self.target_size)
            if source != target:
                raise ValueError(
                    "share_embeddings needs source and target to agree in vocabulary size and embedding size; "
                    f"got {source} and {target}"
                )

    @classmethod
    def from_dict(cls, settings: dict) -> Seq2SeqConfig:
        """A configuration of a dictionary (``config.json``); an unknown name is an error that names it."""
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(settings) - known)
        if unknown:
            raise ValueError(f"the configuration knows no {', '.join(unknown)}; it knows {', '.join(sorted(known))}")
        return cls(**settings)
