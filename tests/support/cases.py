"""Inputs of the operators at chosen and at random shapes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from torch import Tensor

GATES = {"rnn": 1, "gru": 3, "lstm": 4}
# 1, primes, and one below and above the widths in which kernels work.
SIZES = (1, 2, 3, 7, 8, 9, 15, 17, 31, 33, 65)


def misplaced(tensor: Tensor | None) -> Tensor | None:
    """The same numbers, contiguous, one element behind where wide loads may begin; as a view of a larger tensor is."""
    if tensor is None:
        return None
    room = torch.empty(tensor.numel() + 1, dtype=tensor.dtype, device=tensor.device)
    return room[1:].view(tensor.shape).copy_(tensor.detach()).requires_grad_(tensor.requires_grad)


@dataclass
class AttentionCase:
    query: Tensor
    keys: Tensor
    values: Tensor
    v: Tensor
    lengths: Tensor | None
    mask: Tensor | None

    @property
    def differentiable(self) -> list[Tensor]:
        return [self.query, self.keys, self.values, self.v]


def attention_case(
    batch=3, queries=2, source=5, units=7, size=6, *, dtype=torch.float32, device="cpu", lengths=None, mask=None,
    scale=1.0, seed=0,
) -> AttentionCase:  # fmt: skip
    """Tensors are drawn in float64 and rounded, so that a case is the same at every precision, to rounding."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        drawn = torch.randn(shape, generator=generator, dtype=torch.float64)
        return (drawn * scale).to(dtype).to(device).requires_grad_()

    shape = (batch, units) if queries is None else (batch, queries, units)
    return AttentionCase(
        draw(*shape), draw(batch, source, units), draw(batch, source, size), draw(units),
        None if lengths is None else torch.as_tensor(lengths, device=device),
        None if mask is None else torch.as_tensor(mask, device=device),
    )  # fmt: skip


@st.composite
def attention_cases(draw, dtype=torch.float32, device="cpu", scale=1.0) -> AttentionCase:
    batch, source = draw(st.integers(0, 4)), draw(st.integers(0, 9))
    queries = draw(st.sampled_from((None, 1, 2, 3, 5, 9)))
    units, size = draw(st.sampled_from(SIZES)), draw(st.sampled_from(SIZES))
    lengths = draw(st.none() | st.lists(st.integers(0, source), min_size=batch, max_size=batch))
    row = st.lists(st.booleans(), min_size=source, max_size=source)
    mask = draw(st.none() | st.lists(row, min_size=batch, max_size=batch))
    return attention_case(
        batch, queries, source, units, size, dtype=dtype, device=device, scale=scale, seed=draw(st.integers(0, 99)),
        lengths=None if lengths is None else torch.tensor(lengths, dtype=torch.int64),
        mask=None if mask is None else torch.tensor(mask, dtype=torch.bool).reshape(batch, source),
    )  # fmt: skip


@dataclass
class DecoderCase:
    """Arguments of ``attention_decoder``: differentiable tensors by name, and the options."""

    tensors: dict[str, Tensor | None]
    options: dict


def decoder_case(
    cell="gru", batch=3, target=4, source=5, embedding=5, hidden=7, units=6, size=8, *, dtype=torch.float32,
    device="cpu", biases=True, state_mask=False, lengths=None, mask=None, reset_after=True, scale=1.0, seed=0,
) -> DecoderCase:  # fmt: skip
    generator = torch.Generator().manual_seed(seed)
    rows = GATES[cell] * hidden

    def draw(*shape: int, scaled: float = 1.0) -> Tensor:
        return (torch.randn(shape, generator=generator, dtype=torch.float64) * scaled).to(dtype).to(device)

    tensors: dict[str, Tensor | None] = {
        "inputs": draw(batch, target, embedding),
        "state": draw(batch, hidden),
        "cell_state": draw(batch, hidden) if cell == "lstm" else None,
        "keys": draw(batch, source, units, scaled=scale),
        "values": draw(batch, source, size),
        "query_weight": draw(units, hidden, scaled=scale * hidden**-0.5),
        "query_bias": draw(units) if biases else None,
        "v": draw(units),
        "weight_ih": draw(rows, embedding + size, scaled=(embedding + size) ** -0.5),
        "weight_hh": draw(rows, hidden, scaled=hidden**-0.5),
        "bias_ih": draw(rows) if biases else None,
        "bias_hh": draw(rows) if biases else None,
    }
    for tensor in tensors.values():
        if tensor is not None:
            tensor.requires_grad_()
    dropped = (torch.rand(batch, hidden, generator=generator) > 0.3).to(dtype).to(device) / 0.7
    options = {
        "cell": cell, "reset_after": reset_after, "state_mask": dropped if state_mask else None,
        "lengths": None if lengths is None else torch.as_tensor(lengths, device=device),
        "mask": None if mask is None else torch.as_tensor(mask, device=device),
    }  # fmt: skip
    return DecoderCase(tensors, options)


@st.composite
def decoder_cases(draw, dtype=torch.float32, device="cpu") -> DecoderCase:
    cell = draw(st.sampled_from(tuple(GATES)))
    batch, target, source = draw(st.integers(0, 5)), draw(st.integers(0, 4)), draw(st.integers(0, 6))
    sizes = [draw(st.sampled_from(SIZES)) for _ in range(4)]
    lengths = draw(st.none() | st.lists(st.integers(0, source), min_size=batch, max_size=batch))
    row = st.lists(st.booleans(), min_size=source, max_size=source)
    mask = draw(st.none() | st.lists(row, min_size=batch, max_size=batch))
    return decoder_case(
        cell, batch, target, source, *sizes, dtype=dtype, device=device, biases=draw(st.booleans()),
        state_mask=draw(st.booleans()), reset_after=draw(st.booleans()), seed=draw(st.integers(0, 99)),
        lengths=None if lengths is None else torch.tensor(lengths, dtype=torch.int64),
        mask=None if mask is None else torch.tensor(mask, dtype=torch.bool).reshape(batch, source),
    )  # fmt: skip


def run_decoder(tensors: list[Tensor | None], options: dict, backend: str | None = None) -> list[Tensor | None]:
    """``attention_decoder`` on the tensors of a case, in their order; outputs as a flat list."""
    import seq2seq_fast

    inputs, state, cell_state, keys, values, query_weight, query_bias, *rest = tensors
    output = seq2seq_fast.attention_decoder(
        inputs, state if cell_state is None else (state, cell_state), keys, values, query_weight, *rest,
        query_bias=query_bias, backend=backend, **options,
    )  # fmt: skip
    final = output.final_state if isinstance(output.final_state, tuple) else (output.final_state,)
    return [output.states, output.contexts, output.weights, *final]


def sequence_tensors(cell, batch, positions, features, size, *, bias=True, dtype=torch.float32, scale=1.0, seed=0):
    """Inputs, state, cell state (None unless lstm), weights and biases of a recurrence without attention."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return (torch.randn(shape, generator=generator, dtype=torch.float64) * scale).to(dtype).requires_grad_()

    rows = GATES[cell] * size
    return [
        draw(batch, positions, features), draw(batch, size), draw(batch, size) if cell == "lstm" else None,
        draw(rows, features), draw(rows, size), *((draw(rows), draw(rows)) if bias else (None, None)),
    ]  # fmt: skip
