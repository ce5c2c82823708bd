"""What one writes in PyTorch without this package: the code that the operators are measured against.

Independent of :mod:`seq2seq_fast.reference`, in the dtype of its inputs as a user's code would be.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Step = Callable[..., tuple[Tensor, ...]]


def additive_score(query: Tensor, keys: Tensor, v: Tensor) -> Tensor:
    """query [B, A], keys [B, Tx, A] -> [B, Tx]."""
    return torch.tanh(query.unsqueeze(1) + keys) @ v


def attend(
    query: Tensor, keys: Tensor, values: Tensor, v: Tensor, padding: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """One query a source: context [B, D] and weights [B, Tx]; padding [B, Tx] is True where nothing is attended."""
    scores = additive_score(query, keys, v)
    weights = torch.softmax(scores if padding is None else scores.masked_fill(padding, -torch.inf), dim=-1)
    return torch.bmm(weights.unsqueeze(1), values).squeeze(1), weights


def additive_attention(query: Tensor, keys: Tensor, values: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Many queries a source, query [B, Tq, A]: context [B, Tq, D] and weights [B, Tq, Tx]."""
    scores = torch.tanh(query.unsqueeze(2) + keys.unsqueeze(1)) @ v
    weights = torch.softmax(scores, dim=-1)
    return torch.bmm(weights, values), weights


def masked_source(keys: Tensor, values: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Keys and values with zeros from each source's length on."""
    padding = (torch.arange(keys.shape[1], device=keys.device) >= lengths.unsqueeze(1)).unsqueeze(2)
    return keys.masked_fill(padding, 0.0), values.masked_fill(padding, 0.0)


def gru_gates(gates_input: Tensor, gates_hidden: Tensor, hidden: Tensor) -> Tensor:
    input_r, input_z, input_n = gates_input.chunk(3, dim=-1)
    hidden_r, hidden_z, hidden_n = gates_hidden.chunk(3, dim=-1)
    r = torch.sigmoid(input_r + hidden_r)
    z = torch.sigmoid(input_z + hidden_z)
    n = torch.tanh(input_n + r * hidden_n)
    return (1 - z) * n + z * hidden


def lstm_gates(gates_input: Tensor, gates_hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    i, f, g, o = (gates_input + gates_hidden).chunk(4, dim=-1)
    cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(cell), cell


def gru_decoder_step(input, hidden, keys, values, query_weight, v, weight_ih, weight_hh, bias_ih, bias_hh):
    context, _ = attend(F.linear(hidden, query_weight), keys, values, v)
    hidden = torch.gru_cell(torch.cat([input, context], -1), hidden, weight_ih, weight_hh, bias_ih, bias_hh)
    return hidden, context


def masked_gru_decoder_step(
    input, hidden, padding, keys, values, query_weight, v, weight_ih, weight_hh, bias_ih, bias_hh
):
    """The same with padding [B, Tx]."""
    context, _ = attend(F.linear(hidden, query_weight), keys, values, v, padding)
    hidden = torch.gru_cell(torch.cat([input, context], -1), hidden, weight_ih, weight_hh, bias_ih, bias_hh)
    return hidden, context


def lstm_decoder_step(input, hidden, cell, keys, values, query_weight, v, weight_ih, weight_hh, bias_ih, bias_hh):
    context, _ = attend(F.linear(hidden, query_weight), keys, values, v)
    joined = torch.cat([input, context], -1)
    hidden, cell = torch.lstm_cell(joined, (hidden, cell), weight_ih, weight_hh, bias_ih, bias_hh)
    return hidden, cell, context


def attention_decoder(step: Step, inputs: Tensor, state: tuple[Tensor, ...], *rest: Tensor) -> tuple[Tensor, Tensor]:
    """The decoder as a Python loop: states [B, Ty, H] and contexts [B, Ty, D]."""
    states, contexts = [], []
    for input in inputs.unbind(1):
        *state, context = step(input, *state, *rest)  # type: ignore[assignment]
        states.append(state[0])
        contexts.append(context)
    return torch.stack(states, 1), torch.stack(contexts, 1)


def beam_decoder_step(input, hidden, keys, values, query_weight, v, weight_ih, weight_hh, bias_ih, bias_hh):
    """K beams a source on keys and values that are not repeated: input [B, K, E], hidden [B, K, H]."""
    context, _ = additive_attention(F.linear(hidden, query_weight), keys, values, v)
    joined = torch.cat([input, context], -1).flatten(0, 1)
    new_hidden = torch.gru_cell(joined, hidden.flatten(0, 1), weight_ih, weight_hh, bias_ih, bias_hh)
    return new_hidden.view_as(hidden), context
