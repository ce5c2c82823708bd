"""The encoder over a batch of sequences of different lengths, against torch.nn's own recurrent layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import nn

from seq2seq_fast import use_backend
from seq2seq_fast.cases import Case, Draw, Inputs, Operator, Outputs, Work
from seq2seq_fast.cases.comparison import Bound
from seq2seq_fast.cases.operator import Product, linear, linear_backward
from seq2seq_fast.nn import Encoder
from seq2seq_fast.ops import AttentionMemory
from seq2seq_fast.ops.attention_decoder import GATES
from seq2seq_fast.reference.precision import accumulation_dtype


def spread_lengths(batch: int, longest: int) -> torch.Tensor:
    """Lengths [B] as in a bucket of sentences: from the longest down to three quarters of it."""
    return torch.linspace(longest, (3 * longest + 3) // 4, batch).round().long()


class Layer(Operator):
    """A layer with parameters: nothing awkward is asked of it here, its own tests do."""

    cold = False
    limited_by = "products"

    def cases(self, quick: bool) -> Sequence[Case]:
        return []

    def degenerate(self) -> Case:
        raise NotImplementedError


class EncoderLayer(Layer):
    name = "nn.Encoder"
    size_names = ("batch", "source", "embedding", "hidden")
    # torch.compile leaves torch.nn's packed recurrent layers as they are, and packing reads lengths on the host.
    baselines = ("eager",)

    def inputs(self, case: Case, draw: Draw) -> Inputs:
        batch, source, embedding, hidden = (case.sizes[name] for name in self.size_names)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            encoder = Encoder(embedding, hidden, **case.options).to(draw.device, draw.dtype)
        features, lengths = draw.normal(batch, source, embedding), spread_lengths(batch, source).to(draw.device)
        options = {**case.options, "library": _same_in_library(encoder, case.options["cell"])}
        return Inputs({"features": features}, {"lengths": lengths}, options, {"encoder": encoder})

    def call(self, inputs: Inputs, memory: AttentionMemory | None, backend: str) -> Outputs:
        encoder, features, lengths = inputs.modules["encoder"], inputs.tensors["features"], inputs.constants["lengths"]
        with use_backend(backend):
            return {"states": encoder(features, lengths).outputs}

    def eager(self, inputs: Inputs) -> Outputs:
        features, lengths = inputs.tensors["features"], inputs.constants["lengths"].cpu()
        packed = nn.utils.rnn.pack_padded_sequence(features, lengths, batch_first=True, enforce_sorted=False)
        return {"states": nn.utils.rnn.pad_packed_sequence(inputs.options["library"](packed)[0], batch_first=True)[0]}

    def bounds(self, inputs: Inputs, large: bool = False) -> tuple[Bound, Bound]:
        """A step hands its error to the next, which forgets part of it."""
        eps = torch.finfo(accumulation_dtype(inputs.tensors["features"].dtype)).eps
        return Bound(relative=128 * eps, roundings=16), Bound(relative=512 * eps, roundings=64)

    def forward_work(self, sizes: Mapping[str, int], inputs: Inputs, outputs: Outputs, training: bool) -> Work:
        products = encoder_products(sizes, inputs.options["cell"])
        return replace(super().forward_work(sizes, inputs, outputs, training), products=products)

    def backward_work(self, sizes: Mapping[str, int], inputs: Inputs, outputs: Outputs) -> Work:
        products = encoder_products_back(sizes, inputs.options["cell"])
        return replace(super().backward_work(sizes, inputs, outputs), products=products)


def _same_in_library(encoder: Encoder, cell: str) -> nn.Module:
    """``torch.nn.GRU`` or ``LSTM`` on the very parameters of our encoder."""
    kind = nn.GRU if cell == "gru" else nn.LSTM
    library = kind(encoder.input_size, encoder.hidden_size, batch_first=True, bidirectional=True, device="meta")
    assert encoder.backward_cells is not None
    for cells, suffix in ((encoder.forward_cells, ""), (encoder.backward_cells, "_reverse")):
        for name, parameter in cells[0].named_parameters():
            setattr(library, f"{name}_l0{suffix}", parameter)
    library.flatten_parameters()
    return library


def encoder_products(sizes: Mapping[str, int], cell: str) -> tuple[Product, ...]:
    """For each direction all inputs at once, then the state's product at each position."""
    batch, source, hidden = sizes["batch"], sizes["source"], sizes["hidden"]
    width = GATES[cell] * hidden
    direction = linear(batch * source, sizes["embedding"], width), *(Product(batch, hidden, width),) * source
    return direction * 2


def encoder_products_back(sizes: Mapping[str, int], cell: str) -> tuple[Product, ...]:
    """For each direction the state's gradient at each position, then the weights' and the inputs' at once."""
    batch, source, hidden = sizes["batch"], sizes["source"], sizes["hidden"]
    rows, width = batch * source, GATES[cell] * hidden
    after = Product(width, rows, hidden, "tn"), *linear_backward(rows, sizes["embedding"], width)
    return (*(Product(batch, width, hidden),) * source, *after) * 2
