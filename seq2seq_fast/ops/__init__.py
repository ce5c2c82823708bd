"""The public operators: checks once, autograd, choice of backend. One file an operator."""

from seq2seq_fast.ops import cpu, cuda, one_launch, triton
from seq2seq_fast.ops.additive_attention import additive_attention, attend
from seq2seq_fast.ops.additive_score import additive_score
from seq2seq_fast.ops.attention_decoder import AttentionDecoderOutput, attention_decoder
from seq2seq_fast.ops.attention_decoder_step import AttentionDecoderStep, attention_decoder_step
from seq2seq_fast.ops.attention_memory import AttentionMemory, attention_memory
from seq2seq_fast.ops.backends import BackendStatus, backends, register_backend, use_backend
from seq2seq_fast.ops.gru_cell import gru_cell
from seq2seq_fast.ops.lstm_cell import lstm_cell
from seq2seq_fast.ops.recurrent_sequence import recurrent_sequence
from seq2seq_fast.ops.tf32 import use_tf32

register_backend("cpu", cpu.load())
register_backend("triton", triton.load)
register_backend("cuda", cuda.load)
one_launch.offer("cuda", cuda.CANDIDATE)

__all__ = [
    "AttentionDecoderOutput",
    "AttentionDecoderStep",
    "AttentionMemory",
    "BackendStatus",
    "additive_attention",
    "additive_score",
    "attend",
    "attention_decoder",
    "attention_decoder_step",
    "attention_memory",
    "backends",
    "gru_cell",
    "lstm_cell",
    "recurrent_sequence",
    "use_backend",
    "use_tf32",
]
