"""The operators that the Triton kernels implement, and their declaration in a torch.library namespace.

Operators are ``triton_op``: torch.compile sees the kernels inside them. The decoder's loops are opaque to it instead:
traced, every target position would become nodes of the graph, and every target length a graph of its own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import torch
import triton
from torch import Tensor
from torch._library.triton import set_wrap_triton_enabled

from seq2seq_fast.triton_kernels import additive_attention, additive_score, gru_cell, key_exponentials, lstm_cell
from seq2seq_fast.triton_kernels.attention_decoder import attention_decoder_forward
from seq2seq_fast.triton_kernels.attention_decoder_backward import attention_decoder_backward
from seq2seq_fast.triton_kernels.attention_decoder_step import attention_decoder_step

OPERATORS: dict[str, Callable] = {
    "key_exponentials": key_exponentials.key_exponentials,
    "additive_score_forward": additive_score.additive_score_forward,
    "additive_score_backward": additive_score.additive_score_backward,
    "attend_forward": additive_attention.attend_forward,
    "attend_backward": additive_attention.attend_backward,
    "gru_gates_forward": gru_cell.gru_gates_forward,
    "gru_gates_backward": gru_cell.gru_gates_backward,
    "gru_reset_forward": gru_cell.gru_reset_forward,
    "gru_reset_backward": gru_cell.gru_reset_backward,
    "gru_update_forward": gru_cell.gru_update_forward,
    "gru_update_backward": gru_cell.gru_update_backward,
    "lstm_gates_forward": lstm_cell.lstm_gates_forward,
    "lstm_gates_backward": lstm_cell.lstm_gates_backward,
    "attention_decoder_step": attention_decoder_step,
}
OPAQUE: dict[str, Callable] = {
    "attention_decoder_forward": attention_decoder_forward,
    "attention_decoder_backward": attention_decoder_backward,
}


def launching(function: Callable) -> Callable:
    """The function as it runs on tensors with numbers: on their device, whatever the current one, launching directly.

    Triton launches on the current device. Launches that torch.compile could trace take half a millisecond more each,
    and torch keeps something of every one of them.
    """

    @functools.wraps(function)
    def run(*arguments: Any) -> Any:
        tensor = next(argument for argument in arguments if isinstance(argument, Tensor))
        with torch.cuda.device_of(tensor), set_wrap_triton_enabled(False):
            return function(*arguments)

    return run


def register(namespace: str, schemas: Mapping[str, str], fakes: Mapping[str, Callable]) -> None:
    """Declare every operator; once a process.

    ``schemas`` and ``fakes`` are the operators' declarations that all backends share. A ``triton_op`` has them from its
    own function: its annotations say the same, and tracing it on fake tensors gives what it returns. What runs in
    Triton's interpreter cannot be traced, so there every operator is opaque.
    """
    visible, opaque = (OPERATORS, OPAQUE) if not triton.knobs.runtime.interpret else ({}, OPERATORS | OPAQUE)
    for name, function in visible.items():
        operator = torch.library.triton_op(f"{namespace}::{name}", function, mutates_args=())
        operator.register_kernel(("cpu", "cuda"), launching(function))
    for name, function in opaque.items():
        operator = torch.library.custom_op(
            f"{namespace}::{name}", launching(function), mutates_args=(), schema=schemas[name]
        )
        operator.register_fake(fakes[name])
