"""The raw operators on the CUDA kernels of ``csrc/cuda``: allocation and launches, one file an operator.

Every function takes an :class:`~seq2seq_fast.cuda_kernels.engine.Engine` and then the arguments of the raw operator of
its name in :mod:`seq2seq_fast.ops.schemas`.
"""

from __future__ import annotations

import functools

import torch

from seq2seq_fast.cuda_kernels import additive_attention, additive_score, attention_decoder, gru_cell, lstm_cell
from seq2seq_fast.cuda_kernels.engine import Engine

OPERATORS = {
    function.__name__: function
    for function in (
        additive_score.key_exponentials,
        additive_score.additive_score_forward,
        additive_score.additive_score_backward,
        additive_attention.attend_forward,
        additive_attention.attend_backward,
        gru_cell.gru_gates_forward,
        gru_cell.gru_gates_backward,
        gru_cell.gru_reset_forward,
        gru_cell.gru_reset_backward,
        gru_cell.gru_update_forward,
        gru_cell.gru_update_backward,
        lstm_cell.lstm_gates_forward,
        lstm_cell.lstm_gates_backward,
        attention_decoder.attention_decoder_forward,
        attention_decoder.attention_decoder_backward,
        attention_decoder.attention_decoder_step,
    )
}


def implement(library: torch.library.Library, engine: Engine, dispatch_key: str) -> None:
    """Register every raw operator in a library that declares them."""
    for name, function in OPERATORS.items():
        library.impl(name, functools.partial(function, engine), dispatch_key)
