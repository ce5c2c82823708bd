"""Layers and the model. Importing this package imports torch and nothing heavier."""

from typing import TYPE_CHECKING

from seq2seq_fast.nn.additive_attention import AdditiveAttention
from seq2seq_fast.nn.attention import Attention, DotProductAttention, MultiplicativeAttention
from seq2seq_fast.nn.attention2d import Attention2d
from seq2seq_fast.nn.attention_decoder import AttentionDecoder
from seq2seq_fast.nn.attention_history import AttentionHistory
from seq2seq_fast.nn.cells import GRUCell, LSTMCell, RNNCell
from seq2seq_fast.nn.config import Seq2SeqConfig
from seq2seq_fast.nn.decoder_state import DecoderOutput, DecoderState, DecoderStep
from seq2seq_fast.nn.encoder import Encoder, EncoderOutput
from seq2seq_fast.nn.gated_attention_pooling import GatedAttentionPooling
from seq2seq_fast.nn.layer_norm_cells import LayerNormGRUCell, LayerNormLSTMCell, LayerNormRNNCell
from seq2seq_fast.nn.location_attention import HistoryAttention, LocationAttention
from seq2seq_fast.nn.pointer_attention import PointerAttention

if TYPE_CHECKING:
    from seq2seq_fast.nn.seq2seq import Seq2Seq

__all__ = [
    "AdditiveAttention",
    "Attention",
    "Attention2d",
    "AttentionDecoder",
    "AttentionHistory",
    "DecoderOutput",
    "DecoderState",
    "DecoderStep",
    "DotProductAttention",
    "Encoder",
    "EncoderOutput",
    "GRUCell",
    "GatedAttentionPooling",
    "HistoryAttention",
    "LSTMCell",
    "LayerNormGRUCell",
    "LayerNormLSTMCell",
    "LayerNormRNNCell",
    "LocationAttention",
    "MultiplicativeAttention",
    "PointerAttention",
    "RNNCell",
    "Seq2Seq",
    "Seq2SeqConfig",
]


def __getattr__(name: str) -> object:
    # Seq2Seq derives from a class of huggingface_hub, which the layers do without.
    if name == "Seq2Seq":
        from seq2seq_fast.nn.seq2seq import Seq2Seq

        return Seq2Seq
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
