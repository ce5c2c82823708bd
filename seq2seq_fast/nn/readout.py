"""The layer between the decoder's state and the vocabulary."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seq2seq_fast.nn.modules import reset_children
from seq2seq_fast.ops.checks import check_choice

READOUTS = ("maxout", "tanh")


class Readout(nn.Module):
    """``t = max(W_1 x, W_2 x)`` ("maxout"; arXiv 1409.0473, A.2.2, with two pieces) or ``t = tanh(W x)`` ("tanh").

    x is the concatenation of what the readout sees, [..., X]; t is [..., R].
    """

    def __init__(
        self,
        kind: str,
        input_size: int,
        output_size: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_choice("readout", kind, READOUTS)
        self.kind = kind
        rows = output_size * (2 if kind == "maxout" else 1)
        self.projection = nn.Linear(input_size, rows, device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        """As ``torch.nn.Linear`` draws them."""
        reset_children(self)

    def extra_repr(self) -> str:
        return repr(self.kind)

    def forward(self, *parts: Tensor) -> Tensor:
        projected = self.projection(torch.cat(parts, dim=-1))
        if self.kind == "tanh":
            return torch.tanh(projected)
        first, second = projected.chunk(2, dim=-1)
        return torch.maximum(first, second)
