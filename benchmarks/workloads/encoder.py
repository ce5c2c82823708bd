"""The encoder over a batch of sequences of different lengths, against torch.nn's own recurrent layers."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from benchmarks.limits import Thunk, linear, linear_backward, product, products
from benchmarks.workload import Bound, Draw, Inputs, Outputs, Sizes, Workload
from seq2seq_fast import use_backend
from seq2seq_fast.nn import Encoder

GATES = {"gru": 3, "lstm": 4}


def spread_lengths(batch: int, longest: int) -> torch.Tensor:
    """Lengths [B] as in a bucket of sentences: from the longest down to three quarters of it."""
    return torch.linspace(longest, (3 * longest + 3) // 4, batch).round().long()


def make_encoder(cell: str) -> Callable[[Sizes, Draw], Inputs]:
    def make(sizes: Sizes, draw: Draw) -> Inputs:
        embedding, hidden, source = sizes["embedding"], sizes["hidden"], sizes["source"]
        with torch.random.fork_rng():
            torch.manual_seed(0)
            encoder = Encoder(embedding, hidden, cell=cell).to(draw.device, draw.dtype)
        return {
            "features": draw.normal(sizes["batch"], source, embedding),
            "lengths": spread_lengths(sizes["batch"], source).to(draw.device),
            "encoder": encoder,
            "library": _same_in_library(encoder, cell),
        }

    return make


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


def encoder_ours(inputs: Inputs, backend: str) -> Outputs:
    with use_backend(backend):
        return (inputs["encoder"](inputs["features"], inputs["lengths"]).outputs,)


def encoder_eager(inputs: Inputs) -> Outputs:
    features, lengths = inputs["features"], inputs["lengths"].cpu()
    packed = nn.utils.rnn.pack_padded_sequence(features, lengths, batch_first=True, enforce_sorted=False)
    return (nn.utils.rnn.pad_packed_sequence(inputs["library"](packed)[0], batch_first=True)[0],)


def encoder_products(gates: int) -> Callable[[Sizes, Draw], list[Thunk]]:
    """For each direction all inputs at once, then the state's product at each position."""

    def build(sizes: Sizes, draw: Draw) -> list[Thunk]:
        batch, source, hidden = sizes["batch"], sizes["source"], sizes["hidden"]
        state = product(draw, batch, hidden, gates * hidden)
        direction = [linear(draw, batch * source, sizes["embedding"], gates * hidden), *(state,) * source]
        return direction * 2

    return build


def encoder_products_back(gates: int) -> Callable[[Sizes, Draw], list[Thunk]]:
    """For each direction the state's gradient at each position, then the weights' and the inputs' at once."""

    def build(sizes: Sizes, draw: Draw) -> list[Thunk]:
        batch, source, hidden = sizes["batch"], sizes["source"], sizes["hidden"]
        rows, width = batch * source, gates * hidden
        state = product(draw, batch, width, hidden)
        after = [product(draw, width, rows, hidden, "tn"), *linear_backward(draw, rows, sizes["embedding"], width)]
        return [*(state,) * source, *after] * 2

    return build


def encoder_bound(inputs: Inputs) -> Bound:
    return Bound(relative=128, roundings=16)


WORKLOADS = tuple(
    Workload(
        name=f"encoder/80x15/{cell}",
        operator="nn.Encoder",
        sizes={"batch": 80, "source": 15, "embedding": 256, "hidden": 512},
        make_inputs=make_encoder(cell),
        run=encoder_ours,
        eager=encoder_eager,
        # torch.compile leaves torch.nn's packed recurrent layers as they are, and packing reads lengths on the host.
        baselines=("eager",),
        limit=products(encoder_products(GATES[cell]), encoder_products_back(GATES[cell])),
        wanted=("features", "encoder"),
        bound=encoder_bound,
        cold=False,
    )
    for cell in GATES
)
