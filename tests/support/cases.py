"""Inputs of the operators at chosen and at random shapes, as :mod:`seq2seq_fast.cases` draws them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from hypothesis import strategies as st
from torch import Tensor

from seq2seq_fast.cases import BY_NAME, Case, Draw, Inputs, Operator
from seq2seq_fast.ops.attention_decoder import GATES

# 1, primes, and one below and above the widths in which kernels work.
SIZES = (1, 2, 3, 7, 8, 9, 15, 17, 31, 33, 65)
# The most of sizes that cost a call time and that may be 0.
FEW = {"batch": 4, "queries": 9, "beams": 3, "source": 9, "target": 4}
DECODER = ("inputs", "state", "cell_state", "keys", "values", "query_weight", "query_bias", "v", "weight_ih",
           "weight_hh", "bias_ih", "bias_hh")  # fmt: skip


def misplaced(tensor: Tensor | None) -> Tensor | None:
    """The same numbers, contiguous, one element behind where wide loads may begin; as a view of a larger tensor is."""
    if tensor is None:
        return None
    room = torch.empty(tensor.numel() + 1, dtype=tensor.dtype, device=tensor.device)
    return room[1:].view(tensor.shape).copy_(tensor.detach()).requires_grad_(tensor.requires_grad)


def drawn(operator: Operator | str, sizes: dict, options=None, dtype=torch.float32, device="cpu", seed=0) -> Inputs:
    """An operator's inputs at these sizes, without lengths and masks."""
    operator = BY_NAME[operator] if isinstance(operator, str) else operator
    draw = Draw(dtype, torch.device(device), torch.Generator().manual_seed(seed))
    return operator.inputs(Case(sizes, operator.forms[0] if options is None else options), draw)


@st.composite
def inputs_of(draw, operator: Operator, dtype=torch.float32, device="cpu") -> Inputs:
    """Any sizes and form, any lengths and mask, and any of what may be left out left out."""
    sizes = {
        name: draw(st.integers(0, FEW[name]) if name in FEW else st.sampled_from(SIZES)) for name in operator.size_names
    }
    form = draw(st.sampled_from(operator.forms))
    inputs = drawn(operator, sizes, form, dtype, device, seed=draw(st.integers(0, 99)))
    optional = [name for name in operator.optional if draw(st.booleans())]
    tensors = {name: tensor for name, tensor in inputs.tensors.items() if name not in optional}
    constants = dict(inputs.constants)
    batch, source = sizes["batch"], sizes.get("source", 0)
    if "lengths" in optional:
        lengths = draw(st.lists(st.integers(0, source), min_size=batch, max_size=batch))
        constants["lengths"] = torch.tensor(lengths, dtype=torch.int64, device=device)
    if "mask" in optional:
        row = st.lists(st.booleans(), min_size=source, max_size=source)
        rows = draw(st.lists(row, min_size=batch, max_size=batch))
        constants["mask"] = torch.tensor(rows, dtype=torch.bool, device=device).reshape(batch, source)
    if "state_mask" in optional:
        constants["state_mask"] = dropped(inputs.tensors["state"])
    return replace(inputs, tensors=tensors, constants=constants)


def dropped(state: Tensor) -> Tensor:
    """A mask of dropout: zeros, and what keeps the mean."""
    kept = torch.rand(state.shape, generator=torch.Generator().manual_seed(0)) > 0.3
    return kept.to(state.device, state.dtype) / 0.7


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
    batch=3, queries=2, source=5, units=7, size=6, *, dtype=torch.float32, device="cpu", lengths=None, mask=None, seed=0
) -> AttentionCase:
    """Without queries there is one a source: [B, A]."""
    sizes = {"batch": batch, "queries": queries or 0, "source": source, "units": units, "values": size}
    tensors = drawn("additive_attention", sizes, dtype=dtype, device=device, seed=seed).requiring_gradients().tensors
    given = (None if extra is None else torch.as_tensor(extra, device=device) for extra in (lengths, mask))
    return AttentionCase(*(tensors[name] for name in ("query", "keys", "values", "v")), *given)


@dataclass
class DecoderCase:
    """Arguments of ``attention_decoder``: differentiable tensors by name, None where there is none, and the options."""

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
    inputs = draw(inputs_of(BY_NAME["attention_decoder"], dtype, device)).requiring_gradients()
    absent = {"lengths": None, "mask": None, "state_mask": None, "reset_after": True}
    options = {**absent, **inputs.options, **inputs.constants}
    return DecoderCase({name: inputs.tensors.get(name) for name in DECODER}, options)


def run_decoder(tensors: list[Tensor | None], options: dict, backend: str | None = None) -> list[Tensor | None]:
    """``attention_decoder`` on the tensors of a case, in their order; outputs as a flat list."""
    inputs = Inputs({name: t for name, t in zip(DECODER, tensors, strict=True) if t is not None}, options=options)
    return list(BY_NAME["attention_decoder"].call(inputs, None, backend).values())


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
