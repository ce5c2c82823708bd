"""The whole model at Multi30k's sizes: a training step, and translation with a beam."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from weakref import WeakSet

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import baselines
from benchmarks.limits import Thunk, linear, linear_backward, product, products
from benchmarks.workload import Bound, Draw, Inputs, Items, Outputs, Sizes, Workload
from benchmarks.workloads.decoder import decoder_backward_products, decoder_forward_products
from benchmarks.workloads.encoder import encoder_products, encoder_products_back, spread_lengths
from seq2seq_fast import use_backend
from seq2seq_fast.decoding import SearchLimits, beam_search
from seq2seq_fast.decoding.hypothesis import drop_worth_it
from seq2seq_fast.decoding.search_step import EAGER_STEPS
from seq2seq_fast.nn import Seq2Seq, Seq2SeqConfig

BEGIN, END = 1, 2
# Translations of these lengths are about as long as their sources; a model of random weights would never end them.
LIMITS = SearchLimits(ratio=1.0, extra=2)


def make_model(sizes: Sizes, draw: Draw) -> Seq2Seq:
    config = Seq2SeqConfig(
        target_vocabulary_size=sizes["vocabulary"],
        source_vocabulary_size=sizes["vocabulary"],
        source_size=sizes["embedding"],
        target_size=sizes["embedding"],
        encoder_hidden_size=sizes["hidden"],
        decoder_hidden_size=sizes["hidden"],
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Seq2Seq(config)
        # A fresh model's attention hardly looks at anything, and gradients that are all rounding cannot be checked.
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5)
    # 16 bits are autocast's: the weights stay in float32.
    return model.to(draw.device, torch.float64 if draw.dtype == torch.float64 else torch.float32)


def make_source(sizes: Sizes, draw: Draw) -> Inputs:
    batch, longest = sizes["batch"], sizes["source"]
    return {
        "source": draw.integers(END + 1, sizes["vocabulary"] - 1, batch, longest),
        "lengths": spread_lengths(batch, longest).to(draw.device),
        "model": make_model(sizes, draw),
        "dtype": draw.dtype,
    }


def make_training(sizes: Sizes, draw: Draw) -> Inputs:
    inputs = make_source(sizes, draw)
    words = draw.integers(END + 1, sizes["vocabulary"] - 1, sizes["batch"], sizes["target"] + 1)
    parameters = inputs["model"].parameters()
    on_cuda = draw.device.type == "cuda"
    return {
        **inputs,
        "target_input": words[:, :-1].contiguous(),
        "target_output": words[:, 1:].contiguous(),
        "optimizer": torch.optim.Adam(parameters, lr=1e-5, fused=True, capturable=on_cuda),
    }


def make_translation(sizes: Sizes, draw: Draw) -> Inputs:
    inputs = make_source(sizes, draw)
    with torch.no_grad():
        inputs["model"].decoder.output.bias[END] = -1e9
    inputs["model"].eval()
    return {**inputs, "beams": sizes["beams"]}


def mixed_precision(inputs: Inputs) -> AbstractContextManager:
    """torch.autocast where the workload's dtype has 16 bits and the weights have not."""
    narrow = inputs["dtype"].itemsize == 2 and next(inputs["model"].parameters()).dtype == torch.float32
    return torch.autocast(inputs["source"].device.type, dtype=inputs["dtype"] if narrow else None, enabled=narrow)


def loss_of(inputs: Inputs, readout: Tensor) -> Tensor:
    logits = inputs["model"].logits(readout)
    return F.cross_entropy(logits.flatten(0, 1).float(), inputs["target_output"].flatten())


def training_ours(inputs: Inputs, backend: str) -> Outputs:
    with use_backend(backend), mixed_precision(inputs):
        output = inputs["model"](inputs["source"], inputs["lengths"], inputs["target_input"], need_weights=False)
        return (loss_of(inputs, output.readout),)


def training_with(wrap: Callable[[baselines.Step], baselines.Step]) -> Callable[[Inputs], Outputs]:
    """The same model with its decoder as a Python loop over a step, wrapped, that PyTorch's own operators make."""
    step = wrap(baselines.masked_gru_decoder_step)

    def run(inputs: Inputs) -> Outputs:
        model, source = inputs["model"], inputs["source"]
        decoder, attention = model.decoder, model.decoder.attention
        with use_backend("reference"), mixed_precision(inputs):
            state = model.start(model.encode(source, inputs["lengths"]))
            embedded = decoder.embedding(inputs["target_input"])
            positions = torch.arange(source.shape[1], device=source.device)
            padding = positions >= inputs["lengths"].unsqueeze(1)
            cell, memory = decoder.cells[0], state.memory
            shared = (padding, memory.keys, memory.values, attention.query_projection.weight, attention.v)
            parameters = (cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh)
            states, contexts = baselines.attention_decoder(step, embedded, state.layers, *shared, *parameters)
            return (loss_of(inputs, decoder.readout(states, contexts, embedded)),)

    return run


def update(inputs: Inputs, grads: tuple[Tensor, ...]) -> None:
    """Clip the gradients and move the weights, as training does."""
    for parameter, grad in zip(inputs["model"].parameters(), grads, strict=True):
        parameter.grad = grad
    torch.nn.utils.clip_grad_norm_(inputs["model"].parameters(), 1.0)
    inputs["optimizer"].step()
    inputs["optimizer"].zero_grad(set_to_none=True)


def translate(inputs: Inputs, backend: str) -> Outputs:
    model, beams = inputs["model"], inputs["beams"]
    with use_backend(backend), mixed_precision(inputs):
        found = beam_search(
            model, inputs["source"], inputs["lengths"], bos_id=BEGIN, eos_id=END, beam_size=beams, limits=LIMITS,
            graphs=inputs.get("graphs", False),
        )  # fmt: skip
    return (torch.tensor([best[0].score for best in found], device=inputs["source"].device),)


def translate_eager(inputs: Inputs) -> Outputs:
    """The same search over the reference's steps."""
    return translate(inputs, "reference")


def translate_replayed(call: Callable[[Inputs], Outputs]) -> Callable[[Inputs], Outputs]:
    """The search with its steps replayed from CUDA graphs, all of which its first call on a model captures."""
    captured: WeakSet[Seq2Seq] = WeakSet()

    def run(inputs: Inputs) -> Outputs:
        inputs = {**inputs, "graphs": True}
        if inputs["model"] not in captured:
            captured.add(inputs["model"])
            for _ in range(EAGER_STEPS):
                call(inputs)
        return call(inputs)

    return run


def layer_sizes(sizes: Sizes) -> list[tuple[int, int, int]]:
    """The linear layers over all positions, as (rows, inputs, outputs): keys, initial state, readout, vocabulary."""
    batch, hidden, embedding = sizes["batch"], sizes["hidden"], sizes["embedding"]
    rows = batch * sizes["target"]
    return [
        (batch * sizes["source"], 2 * hidden, hidden),
        (batch, hidden, hidden),
        (rows, 3 * hidden + embedding, 2 * embedding),
        (rows, embedding, sizes["vocabulary"]),
    ]


def decoder_sizes(sizes: Sizes) -> Sizes:
    return {**sizes, "units": sizes["hidden"], "values": 2 * sizes["hidden"]}


def training_products(sizes: Sizes, draw: Draw) -> list[Thunk]:
    return [
        *encoder_products(3)(sizes, draw),
        *decoder_forward_products(3)(decoder_sizes(sizes), draw),
        *(linear(draw, *layer) for layer in layer_sizes(sizes)),
    ]


def training_products_back(sizes: Sizes, draw: Draw) -> list[Thunk]:
    return [
        *(thunk for layer in layer_sizes(sizes) for thunk in linear_backward(draw, *layer)),
        *decoder_backward_products(3)(decoder_sizes(sizes), draw),
        *encoder_products_back(3)(sizes, draw),
    ]


def translation_products(sizes: Sizes, draw: Draw) -> list[Thunk]:
    """The encoder's, the keys', and at each position those of the sources that the search still keeps."""
    hidden, embedding, vocabulary = sizes["hidden"], sizes["embedding"], sizes["vocabulary"]
    keys, initial = layer_sizes({**sizes, "target": 1})[:2]
    thunks = [*encoder_products(3)(sizes, draw), linear(draw, *keys), linear(draw, *initial)]
    made: dict[int, list[Thunk]] = {}
    for kept in sources_kept(LIMITS.most(spread_lengths(sizes["batch"], sizes["source"])).tolist()):
        rows = kept * sizes["beams"]
        if rows not in made:
            made[rows] = [
                product(draw, rows, hidden, 4 * hidden),
                product(draw, rows, 2 * hidden, 3 * hidden),
                linear(draw, rows, embedding, 3 * hidden),
                linear(draw, rows, 3 * hidden + embedding, 2 * embedding),
                linear(draw, rows, embedding, vocabulary),
            ]
        thunks += made[rows]
    return thunks


def sources_kept(longest: Sequence[int]) -> Iterator[int]:
    """How many sources the search carries at each position, when source i is done after ``longest[i]``."""
    kept, position = len(longest), 0
    while True:
        yield kept
        position += 1
        active = sum(most > position for most in longest)
        if active == 0:
            return
        if drop_worth_it(active, kept):
            kept = active


def training_bound(inputs: Inputs) -> Bound:
    # Under autocast the weights' gradients are float32 tensors with the accuracy of 16 bits, and those of attention,
    # whose terms nearly cancel, are mostly rounding.
    return Bound(relative=1e6, floor=0.01) if inputs["dtype"].itemsize == 2 else Bound(relative=512)


def translation_bound(inputs: Inputs) -> Bound:
    """Beams that are equal to rounding may be told apart differently, and then their scores are nearly equal."""
    return Bound(relative=1e6 if inputs["dtype"].itemsize == 2 else 1e4)


_MULTI30K = {"batch": 80, "source": 15, "target": 15, "vocabulary": 8000, "embedding": 256, "hidden": 512}

WORKLOADS = (
    Workload(
        name="training_step/multi30k",
        operator="nn.Seq2Seq",
        sizes=_MULTI30K,
        make_inputs=make_training,
        run=training_ours,
        eager=training_with(lambda step: step),
        compiled=lambda: training_with(lambda step: torch.compile(step, dynamic=False)),
        after_backward=update,
        limit=products(training_products, training_products_back),
        wanted=("model",),
        bound=training_bound,
        quick=True,
        cold=False,
        items=Items("tokens", lambda sizes: sizes["batch"] * sizes["target"]),
    ),
    Workload(
        name="translation/beam5",
        operator="nn.Seq2Seq",
        sizes={**_MULTI30K, "batch": 64, "beams": 5},
        make_inputs=make_translation,
        run=translate,
        eager=translate_eager,
        # The search decides on the host which sentences go on: nothing to capture or to compile whole.
        replayed=translate_replayed,
        baselines=("eager", "cudagraph"),
        limit=products(translation_products),
        bound=translation_bound,
        cold=False,
        items=Items("sentences", lambda sizes: sizes["batch"]),
    ),
)
