"""seq2seq_fast: the attention recurrent sequence-to-sequence model at the speed of the hardware.

The operators are here; layers and the model are in :mod:`seq2seq_fast.nn`, which the first use of ``seq2seq_fast.nn``
imports; the translator is behind the command ``seq2seq-fast``. Importing this package imports torch and nothing
heavier.
"""

import importlib
from typing import TYPE_CHECKING

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
    use_tf32,
)
from seq2seq_fast.version import __version__

if TYPE_CHECKING:
    from seq2seq_fast import nn

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
    "nn",
    "use_backend",
    "use_tf32",
]


def __getattr__(name: str) -> object:
    if name == "nn":
        return importlib.import_module("seq2seq_fast.nn")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), "nn"})
