"""Every public operator as a function of tensors by name, for what must hold of all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

import seq2seq_fast
from seq2seq_fast.ops.features import BACKENDS as FEATURE_BACKENDS
from seq2seq_fast.ops.recurrent_sequence import BACKENDS as SEQUENCE_BACKENDS
from seq2seq_fast.ops.recurrent_sequence import recurrent_sequence
from tests.support.cases import attention_case, decoder_case, run_decoder, sequence_tensors
from tests.support.engines import Engine

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Call:
    """One call of an operator: ``run(tensors, backend)`` gives its outputs, all of them differentiable."""

    tensors: Tensors
    run: Callable[[Tensors, str], list[Tensor]]
    backends: tuple[str, ...] | None = None

    def served_by(self, engine: Engine) -> bool:
        return self.backends is None or engine.backend in self.backends


def calls(dtype: torch.dtype = torch.float32, device: str = "cpu") -> dict[str, Call]:
    """A call of every operator in every form that has kernels of its own, by a readable name."""
    found: dict[str, Call] = {}
    for queries, need_weights in ((None, True), (None, False), (3, True), (3, False)):
        found |= _attention(queries, need_weights, dtype, device)
    for cell, reset_after in (("rnn", True), ("gru", True), ("gru", False), ("lstm", True)):
        form = cell if reset_after else f"{cell}-reset-before"
        found |= {f"{name}-{form}": call for name, call in _recurrent(cell, reset_after, dtype, device).items()}
    return found


def _detached(tensors: dict[str, Tensor | None]) -> Tensors:
    return {name: tensor.detach() for name, tensor in tensors.items() if tensor is not None}


def _attention(queries, need_weights, dtype, device):
    case = attention_case(3, queries, 5, 7, 6, dtype=dtype, device=device, lengths=[5, 2, 0])
    tensors = _detached(dict(zip(("query", "keys", "values", "v"), case.differentiable, strict=True)))

    def attention(t, backend):
        outputs = seq2seq_fast.additive_attention(
            t["query"], t["keys"], t["values"], t["v"], lengths=case.lengths, need_weights=need_weights, backend=backend
        )
        return [output for output in outputs if output is not None]

    def score(t, backend):
        memory = seq2seq_fast.attention_memory(t["keys"], t["values"])
        return [seq2seq_fast.additive_score(t["query"], memory, t["v"], backend=backend)]

    form = "one-query" if queries is None else "queries"
    found = {}
    if need_weights and queries is None:
        history = torch.rand(3, 2, 5, generator=torch.Generator().manual_seed(3)).to(device, dtype)
        filters = torch.randn(7, 2, 3, generator=torch.Generator().manual_seed(4)).to(device, dtype)

        def located(t, backend):
            memory = seq2seq_fast.attention_memory(t["keys"], t["values"], lengths=case.lengths)
            parts = {name: t[name] for name in ("history", "filters")}
            return list(seq2seq_fast.attend(t["query"], memory, t["v"], **parts, backend=backend))

        with_history = {**tensors, "history": history, "filters": filters}
        found = {"attend-history": Call(with_history, located, FEATURE_BACKENDS)}
    if need_weights:
        unread = {name: tensor for name, tensor in tensors.items() if name != "values"}
        scores = Call(unread, lambda t, backend: score({**t, "values": tensors["values"]}, backend))
        return found | {f"additive_attention-{form}": Call(tensors, attention), f"additive_score-{form}": scores}
    return {f"additive_attention-{form}-no-weights": Call(tensors, attention)}


def _recurrent(cell, reset_after, dtype, device):
    names = ("inputs", "state", "cell_state", "weight_ih", "weight_hh", "bias_ih", "bias_hh")
    drawn = sequence_tensors(cell, 3, 4, 5, 6, dtype=dtype)
    tensors = {name: tensor.to(device) for name, tensor in _detached(dict(zip(names, drawn, strict=True))).items()}
    one_position = {**tensors, "inputs": tensors["inputs"][:, 0]}
    lengths = torch.tensor([4, 0, 2], device=device)
    decoder = decoder_case(
        cell, 3, 4, 5, dtype=dtype, device=device, reset_after=reset_after, lengths=[5, 2, 0], state_mask=True
    )
    decoded = _detached(decoder.tensors)

    def state(t):
        return (t["state"], t["cell_state"]) if cell == "lstm" else t["state"]

    def flat(state):
        return list(state) if cell == "lstm" else [state]

    def one_cell(t, backend):
        parameters = [t[name] for name in names[3:]]
        if cell == "lstm":
            return list(seq2seq_fast.lstm_cell(t["inputs"], state(t), *parameters, backend=backend))
        return [seq2seq_fast.gru_cell(t["inputs"], t["state"], *parameters, reset_after=reset_after, backend=backend)]

    def sequence(t, backend):
        outputs, final = recurrent_sequence(
            t["inputs"], state(t), *(t[name] for name in names[3:]), lengths=lengths, reverse=True, cell=cell,
            reset_after=reset_after, backend=backend,
        )  # fmt: skip
        return [outputs, *flat(final)]

    def whole(t, backend):
        return run_decoder([t.get(name) for name in decoder.tensors], decoder.options, backend)

    def step(t, backend):
        width = t["inputs"].shape[-1]
        memory = seq2seq_fast.attention_memory(
            t["keys"], t["values"], lengths=decoder.options["lengths"], context_weight=t["weight_ih"][:, width:]
        )
        options = {name: decoder.options[name] for name in ("cell", "reset_after", "state_mask")}
        found = seq2seq_fast.attention_decoder_step(
            t["inputs"], state(t), memory, t["query_weight"], t["v"], t["weight_ih"], t["weight_hh"], t["bias_ih"],
            t["bias_hh"], query_bias=t["query_bias"], backend=backend, **options,
        )  # fmt: skip
        return [*flat(found.state), found.context, found.weights]

    return {
        **({"cell": Call(one_position, one_cell)} if cell != "rnn" else {}),
        "recurrent_sequence": Call(tensors, sequence, SEQUENCE_BACKENDS),
        "attention_decoder": Call(decoded, whole),
        "attention_decoder_step": Call({**decoded, "inputs": decoded["inputs"][:, 0]}, step),
    }


def loss(call: Call, backend: str, tensors: Tensors) -> Tensor:
    """A smooth number made of every output; no score of a masked position is there to make it infinite."""
    return torch.stack([(o.double().sin() * (n + 1)).sum() for n, o in enumerate(call.run(tensors, backend))]).sum()
