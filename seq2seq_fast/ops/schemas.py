"""The raw operators: what a fused backend implements, declared once for all of them.

Each fused backend is a namespace with the same operators, ``torch.ops.seq2seq_fast_cpu.attend_forward`` beside
``torch.ops.seq2seq_fast_triton.attend_forward``. The public functions check their arguments and call these; a raw
operator trusts its caller. Tensors that were not asked for are empty, ``[0]``.

Names matter: ``NAME_backward`` is given what ``NAME_forward`` was given and returned under the same names, and the
gradient of an output under its name after ``grad_`` (:mod:`seq2seq_fast.ops.derivatives`).

Letters: batch B, source Tx, target Ty, queries Tq, beams K, attention units A, values D, hidden H, embedding E,
gates G (1 rnn, 3 gru, 4 lstm). "acc" is float64 for float64 inputs and float32 otherwise. ``exponentials`` is
``e^(2 keys)`` [B, Tx, A] in acc, ``in_range`` [B] says where all ``|keys| <= 40`` (NaN fails), ``lengths`` [B] int64 is
the number of leading positions to visit and ``mask`` [B, Tx] bool is True where a position may be attended.
"""

from __future__ import annotations

import torch

SOURCE = "Tensor keys, Tensor values, Tensor exponentials, Tensor in_range"
DECODER_WEIGHTS = (
    "Tensor query_weight, Tensor? query_bias, Tensor v, Tensor weight_ih, Tensor weight_hh, "
    "Tensor? bias_ih, Tensor? bias_hh, Tensor? lengths, Tensor? mask, Tensor? state_mask, str cell, bool reset_after"
)

SCHEMAS: dict[str, str] = {
    # keys [B, Tx, A] -> exponentials and in_range as above, in one pass over the keys.
    "key_exponentials": "(Tensor keys) -> (Tensor exponentials, Tensor in_range)",
    # query [B, Tq, A] -> scores [B, Tq, Tx] in query's dtype; nothing is masked here.
    "additive_score_forward": (
        "(Tensor query, Tensor keys, Tensor exponentials, Tensor in_range, Tensor v) -> Tensor scores"
    ),
    # needs: query, keys, v.
    "additive_score_backward": (
        "(Tensor grad_scores, Tensor query, Tensor keys, Tensor exponentials, Tensor in_range, Tensor v, bool[3] needs)"
        " -> (Tensor, Tensor, Tensor)"
    ),
    # -> context [B, Tq, D] in values' dtype, weights [B, Tq, Tx] in acc ([0] unless need_weights), and in acc the
    # logarithm of the softmax's denominator [B, Tq] of scores without their constant sum(v), -inf for an empty row.
    "attend_forward": (
        f"(Tensor query, {SOURCE}, Tensor v, Tensor? lengths, Tensor? mask, bool need_weights)"
        " -> (Tensor context, Tensor weights, Tensor logsumexp)"
    ),
    # weights is what forward gave ([0]: recompute them from logsumexp); needs: query, keys, values, v.
    "attend_backward": (
        f"(Tensor grad_context, Tensor? grad_weights, Tensor query, {SOURCE}, Tensor v, Tensor? lengths, Tensor? mask, "
        "Tensor context, Tensor weights, Tensor logsumexp, bool[4] needs) -> (Tensor, Tensor, Tensor, Tensor)"
    ),
    # Reset after the product: gates_input and gates_hidden [B, 3H], hidden [B, H] -> hidden [B, H], and in acc r, z, n
    # [B, 3H] for backward, which gives the gradients of the three.
    "gru_gates_forward": (
        "(Tensor gates_input, Tensor gates_hidden, Tensor hidden) -> (Tensor new_hidden, Tensor activations)"
    ),
    "gru_gates_backward": (
        "(Tensor grad_new_hidden, Tensor gates_hidden, Tensor hidden, Tensor activations) -> (Tensor, Tensor, Tensor)"
    ),
    # Reset before the product, first half: [B, 2H], [B, 2H], hidden [B, H] -> [r * h, z] in hidden's dtype [B, 2H] and
    # r, z [B, 2H] in acc; backward gives the gradient of both gates (the same tensor serves both) and of hidden.
    "gru_reset_forward": (
        "(Tensor gates_input, Tensor gates_hidden, Tensor hidden) -> (Tensor reset_and_z, Tensor activations)"
    ),
    "gru_reset_backward": (
        "(Tensor grad_reset_and_z, Tensor hidden, Tensor activations) -> (Tensor grad_gates, Tensor grad_hidden)"
    ),
    # Second half: all [B, H] -> hidden [B, H] and n [B, H] in acc; backward gives candidate (the same tensor serves
    # both summands), z and hidden.
    "gru_update_forward": (
        "(Tensor candidate_input, Tensor candidate_hidden, Tensor z, Tensor hidden)"
        " -> (Tensor new_hidden, Tensor activations)"
    ),
    "gru_update_backward": (
        "(Tensor grad_new_hidden, Tensor z, Tensor hidden, Tensor activations) -> (Tensor, Tensor, Tensor)"
    ),
    # [B, 4H], [B, 4H], cell [B, H] -> hidden, cell [B, H], and i, f, g, o [B, 4H] in acc; backward gives the gates
    # (the same tensor serves both products) and the cell.
    "lstm_gates_forward": (
        "(Tensor gates_input, Tensor gates_hidden, Tensor cell)"
        " -> (Tensor new_hidden, Tensor new_cell, Tensor activations)"
    ),
    "lstm_gates_backward": (
        "(Tensor? grad_new_hidden, Tensor? grad_new_cell, Tensor cell, Tensor new_cell, Tensor activations)"
        " -> (Tensor grad_gates, Tensor grad_cell)"
    ),
    # The whole recurrence, time-major. inputs [B, Ty, E], state and cell_state [B, H] (cell_state for lstm alone) ->
    # states [Ty, B, H] in state's dtype, contexts [Ty, B, D] in values', weights [Ty, B, Tx] in acc, final_cell [B, H]
    # in cell_state's dtype ([0] unless lstm), then what backward needs, in acc, each [Ty, B, ...]:
    # cells [H] ([0] unless lstm), activations (gru: r, z, n and with reset_after the hidden summand of n, 4H or 3H;
    # lstm: i, f, g, o; rnn: the state before it is rounded), queries [A].
    "attention_decoder_forward": (
        f"(Tensor inputs, Tensor state, Tensor? cell_state, {SOURCE}, {DECODER_WEIGHTS}) -> (Tensor states, "
        "Tensor contexts, Tensor weights, Tensor final_cell, Tensor cells, Tensor activations, Tensor queries)"
    ),
    # grads are of states, contexts, weights (time-major) and final_cell; needs and results: inputs, state, cell_state,
    # keys, values, query_weight, query_bias, v, weight_ih, weight_hh, bias_ih, bias_hh. state_mask is a constant.
    "attention_decoder_backward": (
        "(Tensor? grad_states, Tensor? grad_contexts, Tensor? grad_weights, Tensor? grad_final_cell, "
        f"Tensor inputs, Tensor state, Tensor? cell_state, {SOURCE}, {DECODER_WEIGHTS}, Tensor states, Tensor contexts,"
        " Tensor weights, Tensor cells, Tensor activations, Tensor queries, bool[12] needs)"
        " -> (" + ", ".join(["Tensor"] * 12) + ")"
    ),
    # One position of K beams a source, without gradients: input [B, K, E], state, cell_state and state_mask [B, K, H],
    # projected_values [B, Tx, G H] = values W_context^T where the memory has them
    # -> state, cell_state ([0] unless lstm) [B, K, H], context [B, K, D], weights [B, K, Tx] in acc.
    "attention_decoder_step": (
        f"(Tensor input, Tensor state, Tensor? cell_state, {SOURCE}, Tensor? projected_values, {DECODER_WEIGHTS})"
        " -> (Tensor new_state, Tensor new_cell, Tensor context, Tensor weights)"
    ),
}

# What one backend alone has. A recurrence without attention is cuDNN's on a GPU; on a CPU it is ours. inputs [B, T, E],
# state, cell_state and state_mask [B, H], lengths [B] (None: all T), reverse from each sequence's end to its beginning
# -> states [B, T, H], zero in padding, final_state and final_cell [B, H], and for backward, in acc, packed rows as
# csrc/cpu/recurrent_sequence_kernel.h says, [B T, ...]: states [H], cells [H], activations as in the decoder.
RECURRENCE = (
    "Tensor inputs, Tensor state, Tensor? cell_state, Tensor weight_ih, Tensor weight_hh, Tensor? bias_ih, "
    "Tensor? bias_hh, Tensor? lengths, Tensor? state_mask, bool reverse, str cell, bool reset_after"
)
FEATURES = "Tensor query, Tensor keys, Tensor v, Tensor? history, Tensor? filters, str activation"
OWN_SCHEMAS: dict[str, dict[str, str]] = {
    "cpu": {
        # query [B, Tq, A], keys [B, Tx, A], history [B, Tq, C, Tx] and filters [A, C, W] (both or none), activation
        # "tanh" or "relu" -> scores [B, Tq, Tx] of v activation(q + k + filters * history), nothing masked.
        "feature_score_forward": f"({FEATURES}) -> Tensor scores",
        # needs and results: query, keys, v, history, filters.
        "feature_score_backward": (
            f"(Tensor grad_scores, {FEATURES}, bool[5] needs) -> (" + ", ".join(["Tensor"] * 5) + ")"
        ),
        "recurrent_sequence_forward": (
            f"({RECURRENCE}) -> (Tensor states, Tensor final_state, Tensor final_cell, Tensor packed, Tensor cells, "
            "Tensor activations)"
        ),
        # needs and results: inputs, state, cell_state, weight_ih, weight_hh, bias_ih, bias_hh.
        "recurrent_sequence_backward": (
            f"(Tensor? grad_states, Tensor? grad_final_state, Tensor? grad_final_cell, {RECURRENCE}, Tensor packed, "
            "Tensor cells, Tensor activations, bool[7] needs) -> (" + ", ".join(["Tensor"] * 7) + ")"
        ),
    }
}


def schemas_of(backend: str) -> dict[str, str]:
    """Every raw operator of a backend: those of all backends, and its own."""
    return SCHEMAS | OWN_SCHEMAS.get(backend, {})


def namespace(backend: str) -> str:
    """The torch.library namespace of a fused backend."""
    return f"seq2seq_fast_{backend}"


_libraries: dict[str, torch.library.Library] = {}


def defined(backend: str) -> dict[str, str]:
    """The schemas of the raw operators that a loaded library has defined already, as torch prints them."""
    operators = getattr(torch.ops, namespace(backend))
    return {
        name: str(getattr(operators, name).default._schema) for name in schemas_of(backend) if hasattr(operators, name)
    }


def declare(backend: str) -> torch.library.Library:
    """Define every raw operator in the backend's namespace, with its shapes for torch.compile and its derivative.

    What a loaded library has defined stays as it is: the CPU engine brings the schemas along, so that a program which
    was exported loads where this package is not.
    """
    if backend not in _libraries:
        from seq2seq_fast.ops.derivatives import register
        from seq2seq_fast.ops.fakes import FAKES

        there = defined(backend)
        library = torch.library.Library(namespace(backend), "FRAGMENT")
        for name, schema in schemas_of(backend).items():
            if name not in there:
                library.define(name + schema, tags=(torch.Tag.pt2_compliant_tag,))
            torch.library.register_fake(f"{namespace(backend)}::{name}", FAKES[name], lib=library)
        register(library, schemas_of(backend))
        _libraries[backend] = library
    return _libraries[backend]
