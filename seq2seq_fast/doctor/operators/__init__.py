"""The public operators as the doctor calls them; one table for checks and timings."""

from seq2seq_fast.doctor.operators.attention import AdditiveAttention, AdditiveScore, Attend
from seq2seq_fast.doctor.operators.base import Case, Draw, Inputs, Operator, Outputs
from seq2seq_fast.doctor.operators.cells import GRUCell, LSTMCell
from seq2seq_fast.doctor.operators.decoder import AttentionDecoder, DecoderStep

OPERATORS: tuple[Operator, ...] = (
    AdditiveScore(),
    Attend(),
    AdditiveAttention(),
    GRUCell(),
    LSTMCell(),
    AttentionDecoder(),
    DecoderStep(),
)

__all__ = ["OPERATORS", "Case", "Draw", "Inputs", "Operator", "Outputs"]
