"""The operators in eager PyTorch, written to be read beside the paper.

Every function is pure, works for any device, and checks nothing: the public functions of :mod:`seq2seq_fast.ops`
have done that. 16-bit inputs are computed in float32 and rounded once, at the end.
"""

from seq2seq_fast.reference.additive_attention import additive_score, attend, feature_score, normalize
from seq2seq_fast.reference.attention_decoder import attention_decoder, attention_decoder_step
from seq2seq_fast.reference.gru_cell import gru_cell
from seq2seq_fast.reference.lstm_cell import lstm_cell
from seq2seq_fast.reference.recurrent_sequence import recurrent_sequence
from seq2seq_fast.reference.rnn_cell import rnn_cell

__all__ = [
    "additive_score",
    "attend",
    "attention_decoder",
    "attention_decoder_step",
    "feature_score",
    "gru_cell",
    "lstm_cell",
    "normalize",
    "recurrent_sequence",
    "rnn_cell",
]
