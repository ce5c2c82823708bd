"""seq2seq_fast: the attention recurrent sequence-to-sequence model at the speed of the hardware.

The operators are here; layers and the model are in :mod:`seq2seq_fast.nn`, the translator behind the command
``seq2seq-fast``. Importing this package imports torch and nothing heavier.
"""

from seq2seq_fast.ops import (
    AttentionDecoderOutput,
    AttentionDecoderStep,
    AttentionMemory,
    BackendStatus,
    additive_attention,
    additive_score,
    attend,
    attention_decoder,
    attention_decoder_step,
    attention_memory,
    backends,
    gru_cell,
    lstm_cell,
    use_backend,
)
from seq2seq_fast.version import __version__

__all__ = [
    "AttentionDecoderOutput",
    "AttentionDecoderStep",
    "AttentionMemory",
    "BackendStatus",
    "__version__",
    "additive_attention",
    "additive_score",
    "attend",
    "attention_decoder",
    "attention_decoder_step",
    "attention_memory",
    "backends",
    "gru_cell",
    "lstm_cell",
    "use_backend",
]
