"""The decoder's recurrence with attention, all positions in one call, or one position at a time."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from torch import Tensor

from seq2seq_fast import reference
from seq2seq_fast.ops.additive_attention import fused_source
from seq2seq_fast.ops.attention_memory import AttentionMemory, attended_positions, make_memory
from seq2seq_fast.ops.autograd import cast_like, needs_grad, no_autocast
from seq2seq_fast.ops.backends import choose_backend, raw
from seq2seq_fast.ops.checks import check_alike, check_choice, check_constant, check_tensor
from seq2seq_fast.ops.derivatives import declare_derivative
from seq2seq_fast.ops.gru_cell import check_states
from seq2seq_fast.ops.one_launch import choose_for_one_launch
from seq2seq_fast.ops.record import register_record

GATES = {"rnn": 1, "gru": 3, "lstm": 4}
State: TypeAlias = "Tensor | tuple[Tensor, Tensor]"


@register_record
class AttentionDecoderOutput(NamedTuple):
    """What :func:`attention_decoder` returns.

    Attributes:
        states: [B, Ty, H].
        contexts: [B, Ty, D].
        weights: [B, Ty, Tx], None without ``need_weights``.
        final_state: [B, H], the last of ``states`` (LSTM: the pair (hidden, cell)).
    """

    states: Tensor
    contexts: Tensor
    weights: Tensor | None
    final_state: State


def attention_decoder(
    inputs: Tensor,
    state: State,
    keys: Tensor,
    values: Tensor,
    query_weight: Tensor,
    v: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor | None = None,
    bias_hh: Tensor | None = None,
    *,
    query_bias: Tensor | None = None,
    lengths: Tensor | None = None,
    mask: Tensor | None = None,
    state_mask: Tensor | None = None,
    cell: str = "gru",
    reset_after: bool = True,
    need_weights: bool = True,
    backend: str | None = None,
) -> AttentionDecoderOutput:
    """The whole teacher-forced recurrence of the paper's decoder (arXiv 1409.0473, section A.1.2).

    For each position i, with ``s = state_mask * s_{i-1}``: ``c_i = attend(W_a s + b_a)`` and
    ``s_i = cell([x_i, c_i], s)``. Only this recurrence is sequential; everything that can leave the loop is computed
    for all positions at once.

    Args:
        inputs: [B, Ty, E], the embedded previous words.
        state: [B, H], s_0; for an LSTM the pair (hidden, cell).
        keys: [B, Tx, A]. values: [B, Tx, D]. v: [A].
        query_weight: [A, H]. query_bias: [A] or None.
        weight_ih: [G H, E + D], columns: input, then context. weight_hh: [G H, H]. bias_ih, bias_hh: [G H] or None.
            G is 1 for "rnn", 3 for "gru" (r, z, n), 4 for "lstm" (i, f, g, o).
        lengths: [B] integers from 0 to Tx. mask: [B, Tx] bool, True attends.
        state_mask: [B, H] multiplies the recurrent state before every use (variational dropout; an LSTM's cell is
            not masked). A constant: it gets no gradient.
        cell: "rnn", "gru" or "lstm".
        reset_after: the form of the GRU, see :func:`seq2seq_fast.gru_cell`.
        need_weights: return the attention weights.
        backend: "reference", "cpu", "triton" or "cuda"; by default chosen from the device. A GPU is served by "cuda"
            where one launch fits the recurrence and was tried there (see "Backends" in the documentation), else by
            "triton".

    Raises:
        TypeError, ValueError: an argument's type, dtype, device or shape is wrong, or the backend cannot serve it.
    """
    check_tensor("inputs", inputs, "[B, Ty, E]", None, None, None)
    check_tensor("keys", keys, "[B, Tx, A]", inputs.shape[0], None, None)
    memory = make_memory(keys, values, lengths, mask, backend=choose_backend(backend, keys))
    return decode_sequence(
        inputs, state, memory, query_weight, v, weight_ih, weight_hh, bias_ih, bias_hh, query_bias=query_bias,
        state_mask=state_mask, cell=cell, reset_after=reset_after, need_weights=need_weights, backend=backend,
    )  # fmt: skip


def decode_sequence(
    inputs: Tensor,
    state: State,
    memory: AttentionMemory,
    query_weight: Tensor,
    v: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor | None = None,
    bias_hh: Tensor | None = None,
    *,
    query_bias: Tensor | None = None,
    state_mask: Tensor | None = None,
    cell: str = "gru",
    reset_after: bool = True,
    need_weights: bool = True,
    backend: str | None = None,
) -> AttentionDecoderOutput:
    """:func:`attention_decoder` on a memory that is there already; inputs [B, Ty, E], all else as there."""
    check_tensor("inputs", inputs, "[B, Ty, E]", memory.batch, None, None)
    hidden, cell_state = split_state(state, cell)
    parameters = check_decoder(
        cell, inputs, (memory.batch,), hidden, cell_state, (query_weight, query_bias, v),
        (weight_ih, weight_hh, bias_ih, bias_hh), state_mask, memory,
    )  # fmt: skip
    (inputs,) = cast_like(memory.keys, inputs)
    chosen = choose_for_one_launch(
        backend, inputs, cell=cell, reset_after=reset_after, positions=memory.source_length, units=memory.keys.shape[2],
        hidden=hidden.shape[1],
        recorded=needs_grad(inputs, hidden, cell_state, memory.keys, memory.values, *parameters),
    )  # fmt: skip
    start = (inputs, hidden, cell_state, memory.keys, memory.values)
    with no_autocast(inputs.device.type):
        if chosen == "reference":
            states, contexts, weights, final_cell = reference.attention_decoder(
                *start, *parameters, mask=memory.attended, state_mask=state_mask, cell=cell, reset_after=reset_after
            )
        else:
            states, contexts, weights, final_cell, *_ = raw(chosen).attention_decoder_forward(
                *start, *fused_source(memory, chosen), *parameters, memory.lengths, memory.mask, state_mask, cell,
                reset_after,
            )  # fmt: skip
    final = states[-1] if states.shape[0] else hidden
    return AttentionDecoderOutput(
        states.transpose(0, 1),
        contexts.transpose(0, 1),
        weights.to(inputs.dtype).transpose(0, 1) if need_weights else None,
        (final, final_cell) if cell == "lstm" else final,
    )


def split_state(state: State, cell: str) -> tuple[Tensor, Tensor | None]:
    """The hidden state and the LSTM's cell (None for the other cells)."""
    check_choice("cell", cell, tuple(GATES))
    pair = isinstance(state, (tuple, list))
    if pair != (cell == "lstm") or (pair and len(state) != 2):
        wanted = "the pair (hidden, cell)" if cell == "lstm" else "one tensor"
        raise TypeError(f"state must be {wanted} for cell={cell!r}; got {type(state).__name__}")
    return (state[0], state[1]) if pair else (state, None)  # type: ignore[return-value]


def check_decoder(
    cell: str,
    inputs: Tensor,
    rows: tuple[int, ...],
    hidden: Tensor,
    cell_state: Tensor | None,
    attention: tuple[Tensor, Tensor | None, Tensor],
    recurrent: tuple[Tensor, Tensor, Tensor | None, Tensor | None],
    state_mask: Tensor | None,
    memory: AttentionMemory,
) -> tuple[Tensor | None, ...]:
    """Check a decoder's weights and states; (query_weight, query_bias, v, weight_ih, weight_hh, bias_ih, bias_hh)."""
    query_weight, query_bias, v = attention
    weight_ih, weight_hh, bias_ih, bias_hh = recurrent
    batch_layout = "[B, H]" if len(rows) == 1 else "[B, K, H]"
    check_tensor("state", hidden, batch_layout, *rows, None)
    size, features, gates = hidden.shape[-1], inputs.shape[-1], GATES[cell]
    states = {"state": hidden}
    if cell_state is not None:
        check_tensor("state's cell", cell_state, batch_layout, *rows, size)
        states["state's cell"] = cell_state
    if state_mask is not None:
        check_tensor("state_mask", state_mask, batch_layout, *rows, size)
        check_constant("state_mask", state_mask)
        states["state_mask"] = state_mask
    units = memory.keys.shape[2]
    check_tensor("query_weight", query_weight, "[A, H]", units, size)
    check_tensor("v", v, "[A]", units)
    check_tensor("weight_ih", weight_ih, "[G H, E + D]", gates * size, features + memory.values.shape[2])
    check_tensor("weight_hh", weight_hh, "[G H, H]", gates * size, size)
    if query_bias is not None:
        check_tensor("query_bias", query_bias, "[A]", units)
    for name, bias in (("bias_ih", bias_ih), ("bias_hh", bias_hh)):
        if bias is not None:
            check_tensor(name, bias, "[G H]", gates * size)
    given = cast_like(memory.keys, inputs, query_weight, query_bias, v, weight_ih, weight_hh, bias_ih, bias_hh)
    names = ("query_weight", "query_bias", "v", "weight_ih", "weight_hh", "bias_ih", "bias_hh")
    assert given[0] is not None
    check_alike("inputs", given[0], **dict(zip(names, given[1:], strict=True)), keys=memory.keys)
    check_states("inputs", given[0], states)
    return given[1:]


def _formula(lengths, mask, exponentials, in_range, **named):
    return reference.attention_decoder(mask=attended_positions(named["keys"], lengths, mask), **named)


DIFFERENTIABLE = (
    "state", "cell_state", "keys", "values", "query_weight", "query_bias", "v", "weight_ih", "weight_hh", "bias_ih",
    "bias_hh",
)  # fmt: skip
declare_derivative(
    "attention_decoder_forward",
    _formula,
    ("states", "contexts", "weights", "final_cell"),
    "inputs",
    *DIFFERENTIABLE,
)
