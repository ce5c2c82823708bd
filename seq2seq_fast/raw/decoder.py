"""A call of the decoder's raw operators, what forward keeps for backward, and the gradients that backward gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from seq2seq_fast.raw.attention import Source
from seq2seq_fast.raw.tensors import asked, contiguous

# What has a gradient, in the order of the schema's needs and results.
DIFFERENTIABLE = (
    "inputs", "state", "cell_state", "keys", "values", "query_weight", "query_bias", "v", "weight_ih", "weight_hh",
    "bias_ih", "bias_hh",
)  # fmt: skip
# Activations that backward needs of a position, in units of the hidden size; a GRU with its reset before has 3.
ACTIVATIONS = {"rnn": 1, "gru": 4, "lstm": 4}


class DecoderWeights(NamedTuple):
    """query_weight [A, H], query_bias [A], weight_ih [G H, E + D], weight_hh [G H, H], bias_ih and bias_hh [G H]."""

    query_weight: Tensor
    query_bias: Tensor | None
    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor | None
    bias_hh: Tensor | None


class DecoderCall(NamedTuple):
    """The arguments of ``attention_decoder_forward``; of one step, inputs [B, K, E] and states [B, K, H].

    Attributes:
        inputs: [B, Ty, E]. state, cell_state: [B, H]; a cell of an LSTM alone.
        source: what is attended to, contiguous.
        state_mask: [B, H] or None, multiplies the state before every use.
    """

    inputs: Tensor
    state: Tensor
    cell_state: Tensor | None
    source: Source
    weights: DecoderWeights
    state_mask: Tensor | None
    cell: str
    reset_after: bool

    @classmethod
    def of(
        cls, inputs, state, cell_state, keys, values, exponentials, in_range, query_weight, query_bias, v, weight_ih,
        weight_hh, bias_ih, bias_hh, lengths, mask, state_mask, cell, reset_after,
    ) -> DecoderCall:  # fmt: skip
        """From the schema's flat list."""
        source = Source(*contiguous(keys, values, exponentials, in_range, v, lengths, mask))
        weights = DecoderWeights(query_weight, query_bias, weight_ih, weight_hh, bias_ih, bias_hh)
        return cls(inputs, state, cell_state, source, weights, state_mask, cell, reset_after)

    @classmethod
    def of_step(
        cls, input, state, cell_state, keys, values, exponentials, in_range, projected_values, *rest: Any
    ) -> tuple[DecoderCall, Tensor | None]:  # fmt: skip
        """From the flat list of ``attention_decoder_step``, whose projected values stand apart."""
        return cls.of(input, state, cell_state, keys, values, exponentials, in_range, *rest), projected_values

    @property
    def reset_before(self) -> bool:
        """Whether it is a GRU whose reset gate works before the product."""
        return self.cell == "gru" and not self.reset_after

    @property
    def hidden(self) -> int:
        return self.state.shape[-1]

    @property
    def gates(self) -> int:
        """G H."""
        return self.weights.weight_hh.shape[0]

    @property
    def direct_rows(self) -> int:
        """Rows of weight_hh that multiply the state itself; with the reset before, the candidate's do not."""
        return 2 * self.hidden if self.reset_before else self.gates

    @property
    def activations(self) -> int:
        """Numbers that backward needs of a position's gates."""
        return (3 if self.reset_before else ACTIVATIONS[self.cell]) * self.hidden

    @property
    def input_weight(self) -> Tensor:
        """[G H, E], of the inputs."""
        return self.weights.weight_ih[:, : self.inputs.shape[2]]

    @property
    def context_weight(self) -> Tensor:
        """[G H, D], of the contexts."""
        return self.weights.weight_ih[:, self.inputs.shape[2] :]


class Kept(NamedTuple):
    """What forward gave and backward gets, time-major.

    Attributes:
        states: [Ty, B, H]. contexts: [Ty, B, D]. weights: [Ty, B, Tx] float32.
        cells: [Ty, B, H] float32 of an LSTM, else [0].
        activations: [Ty, B, ...] float32, see the schema. queries: [Ty, B, A] float32.
    """

    states: Tensor
    contexts: Tensor
    weights: Tensor
    cells: Tensor
    activations: Tensor
    queries: Tensor


class OutputGradients(NamedTuple):
    """Of states [Ty, B, H], contexts [Ty, B, D], weights [Ty, B, Tx] and the final cell [B, H]; each may be None."""

    states: Tensor | None
    contexts: Tensor | None
    weights: Tensor | None
    final_cell: Tensor | None


class BackwardCall(NamedTuple):
    """The arguments of ``attention_decoder_backward``; ``need`` says by name which gradients are asked for."""

    call: DecoderCall
    grads: OutputGradients
    kept: Kept
    need: Mapping[str, bool]

    @classmethod
    def of(cls, *arguments: Any) -> BackwardCall:
        """From the schema's flat list."""
        grads, call, kept = arguments[:4], arguments[4:-7], arguments[-7:-1]
        need = dict(zip(DIFFERENTIABLE, arguments[-1], strict=True))
        return cls(DecoderCall.of(*call), OutputGradients(*grads), Kept(*kept), need)

    def results(self, found: Mapping[str, Tensor | None]) -> tuple[Tensor, ...]:
        """What was asked for of the gradients found, each in its tensor's dtype."""
        call, source, weights = self.call, self.call.source, self.call.weights
        tensors: Sequence[Tensor | None] = (
            call.inputs, call.state, call.cell_state, source.keys, source.values, weights.query_weight,
            weights.query_bias, source.v, *weights[2:],
        )  # fmt: skip
        gradients = []
        for name, tensor in zip(DIFFERENTIABLE, tensors, strict=True):
            gradient = found[name] if tensor is not None and self.need[name] else None
            gradients.append(None if gradient is None or tensor is None else gradient.to(tensor.dtype).contiguous())
        return asked(gradients, call.inputs)
