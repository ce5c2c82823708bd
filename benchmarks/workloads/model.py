"""The whole model at Multi30k's sizes: a training step, and translation with a beam."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Any
from weakref import WeakSet

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.workloads.encoder import Layer, encoder_products, encoder_products_back, spread_lengths
from seq2seq_fast import use_backend
from seq2seq_fast.cases import Case, Draw, Inputs, Outputs, Work
from seq2seq_fast.cases.attention_decoder import backward_products, decode, forward_products
from seq2seq_fast.cases.comparison import Bound
from seq2seq_fast.cases.decoder import eager_step
from seq2seq_fast.cases.evaluate import Run
from seq2seq_fast.cases.operator import Product, linear, linear_backward
from seq2seq_fast.decoding import SearchLimits, beam_search
from seq2seq_fast.decoding.hypothesis import drop_worth_it
from seq2seq_fast.decoding.search_step import EAGER_STEPS
from seq2seq_fast.nn import Seq2Seq, Seq2SeqConfig
from seq2seq_fast.ops import AttentionMemory

BEGIN, END = 1, 2
# Translations of these lengths are about as long as their sources; a model of random weights would never end them.
LIMITS = SearchLimits(ratio=1.0, extra=2)


def make_model(sizes: Mapping[str, int], draw: Draw) -> Seq2Seq:
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


class Model(Layer):
    name = "nn.Seq2Seq"
    size_names = ("batch", "source", "target", "vocabulary", "embedding", "hidden")

    def inputs(self, case: Case, draw: Draw) -> Inputs:
        sizes = case.sizes
        constants = {
            "source": draw.integers(END + 1, sizes["vocabulary"] - 1, sizes["batch"], sizes["source"]),
            "lengths": spread_lengths(sizes["batch"], sizes["source"]).to(draw.device),
        }
        return Inputs({}, constants, {"dtype": draw.dtype}, {"model": make_model(sizes, draw)})


def source_of(inputs: Inputs) -> tuple[Any, Tensor, Tensor]:
    return inputs.modules["model"], inputs.constants["source"], inputs.constants["lengths"]


def mixed_precision(inputs: Inputs) -> AbstractContextManager:
    """torch.autocast where the workload's dtype has 16 bits and the weights have not."""
    model, source, _ = source_of(inputs)
    dtype = inputs.options["dtype"]
    narrow = dtype.itemsize == 2 and next(model.parameters()).dtype == torch.float32
    return torch.autocast(source.device.type, dtype=dtype if narrow else None, enabled=narrow)


class TrainingStep(Model):
    def inputs(self, case: Case, draw: Draw) -> Inputs:
        inputs, sizes = super().inputs(case, draw), case.sizes
        words = draw.integers(END + 1, sizes["vocabulary"] - 1, sizes["batch"], sizes["target"] + 1)
        targets = {"target_input": words[:, :-1].contiguous(), "target_output": words[:, 1:].contiguous()}
        on_cuda = draw.device.type == "cuda"
        optimizer = torch.optim.Adam(inputs.leaves.values(), lr=1e-5, fused=True, capturable=on_cuda)
        options = {**inputs.options, "optimizer": optimizer}
        return replace(inputs, constants={**inputs.constants, **targets}, options=options)

    def call(self, inputs: Inputs, memory: AttentionMemory | None, backend: str) -> Outputs:
        model, source, lengths = source_of(inputs)
        with use_backend(backend), mixed_precision(inputs):
            output = model(source, lengths, inputs.constants["target_input"], need_weights=False)
            return self._loss(inputs, output.readout)

    def eager(self, inputs: Inputs, step: Any = eager_step) -> Outputs:
        """The same model with its decoder as a Python loop over a step that PyTorch's own operators make."""
        model, source, lengths = source_of(inputs)
        decoder, attention, cell = model.decoder, model.decoder.attention, model.decoder.cells[0]
        with use_backend("reference"), mixed_precision(inputs):
            state = model.start(model.encode(source, lengths))
            embedded = decoder.embedding(inputs.constants["target_input"])
            padding = torch.arange(source.shape[1], device=source.device) >= lengths.unsqueeze(1)
            query = attention.query_projection
            shared = (state.memory.keys, state.memory.values, query.weight, query.bias, attention.v)
            parameters = (cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh)
            step = partial(step, padding=padding, options={"cell": "gru", "reset_after": cell.reset_after})
            found, _ = decode(step, embedded, state.layers, *shared, *parameters)
            return self._loss(inputs, decoder.readout(found["states"], found["contexts"], embedded))

    def compiled(self) -> Any:
        return partial(self.eager, step=torch.compile(eager_step, dynamic=False))

    def _loss(self, inputs: Inputs, readout: Tensor) -> Outputs:
        logits = source_of(inputs)[0].logits(readout)
        loss = F.cross_entropy(logits.flatten(0, 1).float(), inputs.constants["target_output"].flatten())
        return {"loss": loss}

    def after_backward(self, inputs: Inputs, gradients: Mapping[str, Tensor]) -> None:
        """Clip the gradients and move the weights, as training does."""
        parameters = list(inputs.leaves.values())
        for parameter, gradient in zip(parameters, gradients.values(), strict=True):
            parameter.grad = gradient
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        inputs.options["optimizer"].step()
        inputs.options["optimizer"].zero_grad(set_to_none=True)

    def bounds(self, inputs: Inputs, large: bool = False) -> tuple[Bound, Bound]:
        """Under autocast the weights' gradients are float32 tensors with the accuracy of 16 bits, and those of
        attention, whose terms nearly cancel, are mostly rounding."""
        narrow, eps = inputs.options["dtype"].itemsize == 2, torch.finfo(torch.float32).eps
        if narrow:
            return Bound(relative=1e6 * eps, roundings=2), Bound(relative=4e6 * eps, roundings=8, floor=0.01)
        return Bound(relative=512 * eps, roundings=2), Bound(relative=2048 * eps, roundings=8)

    def forward_work(self, sizes: Mapping[str, int], inputs: Inputs, outputs: Outputs, training: bool) -> Work:
        layers = tuple(linear(*layer) for layer in layer_sizes(sizes))
        return Work(products=encoder_products(sizes, "gru") + forward_products(decoder_sizes(sizes), "gru") + layers)

    def backward_work(self, sizes: Mapping[str, int], inputs: Inputs, outputs: Outputs) -> Work:
        layers = tuple(product for layer in layer_sizes(sizes) for product in linear_backward(*layer))
        decoder = backward_products(decoder_sizes(sizes), "gru")
        return Work(products=layers + decoder + encoder_products_back(sizes, "gru"))


class Translation(Model):
    differentiable = False
    # The search decides on the host which sentences go on: nothing to capture or to compile whole.
    baselines = ("eager", "cudagraph")

    def inputs(self, case: Case, draw: Draw) -> Inputs:
        inputs = super().inputs(case, draw)
        model = source_of(inputs)[0]
        with torch.no_grad():
            model.decoder.output.bias[END] = -1e9
        model.eval()
        return replace(inputs, options={**inputs.options, "beams": case.sizes["beams"]})

    def call(self, inputs: Inputs, memory: AttentionMemory | None, backend: str) -> Outputs:
        model, source, lengths = source_of(inputs)
        with use_backend(backend), mixed_precision(inputs):
            found = beam_search(
                model, source, lengths, bos_id=BEGIN, eos_id=END, beam_size=inputs.options["beams"], limits=LIMITS,
                graphs=inputs.options.get("graphs", False),
            )  # fmt: skip
        return {"scores": torch.tensor([best[0].score for best in found], device=source.device)}

    def eager(self, inputs: Inputs) -> Outputs:
        """The same search over the reference's steps."""
        return self.call(inputs, None, "reference")

    def replayed(self, run: Run) -> Run:
        """The search with its steps replayed from CUDA graphs, all of which its first call on a model captures."""
        captured: WeakSet[Seq2Seq] = WeakSet()

        def replay(inputs: Inputs, memory: AttentionMemory | None) -> Outputs:
            inputs, model = replace(inputs, options={**inputs.options, "graphs": True}), source_of(inputs)[0]
            if model not in captured:
                captured.add(model)
                for _ in range(EAGER_STEPS):
                    run(inputs, memory)
            return run(inputs, memory)

        return replay

    def bounds(self, inputs: Inputs, large: bool = False) -> tuple[Bound, Bound]:
        """Beams that are equal to rounding may be told apart differently, and then their scores are nearly equal."""
        error = 1e6 if inputs.options["dtype"].itemsize == 2 else 1e4
        bound = Bound(relative=error * torch.finfo(torch.float32).eps, roundings=2)
        return bound, bound

    def forward_work(self, sizes: Mapping[str, int], inputs: Inputs, outputs: Outputs, training: bool) -> Work:
        return Work(products=translation_products(sizes))


def layer_sizes(sizes: Mapping[str, int]) -> list[tuple[int, int, int]]:
    """The linear layers over all positions, as (rows, inputs, outputs): keys, initial state, readout, vocabulary."""
    batch, hidden, embedding = sizes["batch"], sizes["hidden"], sizes["embedding"]
    rows = batch * sizes["target"]
    return [
        (batch * sizes["source"], 2 * hidden, hidden),
        (batch, hidden, hidden),
        (rows, 3 * hidden + embedding, 2 * embedding),
        (rows, embedding, sizes["vocabulary"]),
    ]


def decoder_sizes(sizes: Mapping[str, int]) -> Mapping[str, int]:
    return {**sizes, "units": sizes["hidden"], "values": 2 * sizes["hidden"]}


def translation_products(sizes: Mapping[str, int]) -> tuple[Product, ...]:
    """The encoder's, the keys', and at each position those of the sources that the search still keeps."""
    hidden, embedding, vocabulary = sizes["hidden"], sizes["embedding"], sizes["vocabulary"]
    keys, initial = layer_sizes({**sizes, "target": 1})[:2]
    products = [*encoder_products(sizes, "gru"), linear(*keys), linear(*initial)]
    for kept in sources_kept(LIMITS.most(spread_lengths(sizes["batch"], sizes["source"])).tolist()):
        rows = kept * sizes["beams"]
        products += [
            Product(rows, hidden, 4 * hidden),
            Product(rows, 2 * hidden, 3 * hidden),
            linear(rows, embedding, 3 * hidden),
            linear(rows, 3 * hidden + embedding, 2 * embedding),
            linear(rows, embedding, vocabulary),
        ]
    return tuple(products)


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
