"""PyTorch's sequence operators as a GPU has them, played on CPU tensors: what autocast and cuDNN do to a call.

Seen in torch 2.11: under autocast cuDNN's recurrence casts every tensor to float16, whatever autocast's dtype. cuDNN
takes one dtype only, and reads a layer's weights as one piece of memory.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seq2seq_fast.nn import recurrence

OPERATORS = {name: getattr(torch, name) for name in ("rnn_tanh", "gru", "lstm")}


class Cudnn:
    """Stands in for the operators of `torch` from `install` on, and counts how they are called.

    Attributes:
        calls: the dtype of each call's computation.
        copied: calls whose weights cuDNN would have copied into one buffer, with a warning.
    """

    def __init__(self) -> None:
        self.calls: list[torch.dtype] = []
        self.copied = 0

    def install(self, monkeypatch: Any) -> Cudnn:
        for name in OPERATORS:
            monkeypatch.setattr(torch, name, self._operator(name))
        monkeypatch.setattr(recurrence, "runs_on_cudnn", lambda device_type: True)
        return self

    def _operator(self, name: str) -> Any:
        def run(inputs: Tensor, state: Any, weights: Any, *settings: Any) -> Any:
            states = state if isinstance(state, tuple) else (state,)
            if torch.is_autocast_enabled(inputs.device.type):
                (
                    inputs,
                    *states,
                ) = (part.half() for part in (inputs, *states))
                weights = [part.half() for part in weights]
            dtypes = {part.dtype for part in (inputs, *states, *weights)}
            if len(dtypes) > 1:
                raise RuntimeError(f"cuDNN takes one dtype; got {dtypes}")
            self.calls.append(inputs.dtype)
            self.copied += not in_one_piece(weights)
            if inputs.device.type != "cpu":
                return self._shapes(name, inputs, states)
            wide = [part.float() for part in weights] if inputs.dtype != torch.float64 else list(weights)
            inputs, *states = (part.to(wide[0].dtype) for part in (inputs, *states))
            given = tuple(states) if name == "lstm" else states[0]
            found = OPERATORS[name](inputs, given, wide, *settings)
            return tuple(part.to(self.calls[-1]) for part in found)

        return run

    @staticmethod
    def _shapes(name: str, inputs: Tensor, states: Any) -> Any:
        """The results of fake tensors."""
        outputs = inputs.new_empty(*inputs.shape[:2], states[0].shape[-1])
        return (outputs, *(torch.empty_like(part) for part in states))


def in_one_piece(weights: Any) -> bool:
    """Whether the weights, then the biases, lie one behind another from the begin of one storage on."""
    places = [0]
    for weight in weights:
        places.append(places[-1] + weight.numel())
    same = all(part.untyped_storage()._cdata == weights[0].untyped_storage()._cdata for part in weights)
    return same and all(
        part.is_contiguous() and part.storage_offset() == place for part, place in zip(weights, places, strict=False)
    )
