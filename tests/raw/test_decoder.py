"""A decoder's call as one value holds what the schemas' flat lists hold, each under its own name."""

import pytest
import torch

from seq2seq_fast.ops.schemas import SCHEMAS
from seq2seq_fast.raw.decoder import DIFFERENTIABLE, BackwardCall, DecoderCall

SIZES = {"inputs": (2, 3, 5), "state": (2, 4), "cell_state": (2, 4)}


def names(operator):
    return [a.name for a in torch._C.parse_schema(operator + SCHEMAS[operator]).arguments]


def values(operator, **given):
    """A value for each argument by which it is known: tensors hold their place in the list."""
    found = []
    for place, name in enumerate(names(operator)):
        found.append(given.get(name, torch.full(SIZES.get(name, (2,)), float(place))))
    return found


def named(call):
    """The fields of a call by their names, those of the values inside it too."""
    flat = {}
    for name, value in call._asdict().items():
        if hasattr(value, "_asdict"):
            flat |= named(value)
        else:
            flat[name] = value
    return flat


@pytest.mark.parametrize("operator", ["attention_decoder_forward", "attention_decoder_step"])
def test_every_argument_of_the_schema_has_its_name_in_the_call(operator):
    listed = dict(zip(names(operator), values(operator, cell="gru", reset_after=False), strict=True))
    if operator == "attention_decoder_step":
        call, projected = DecoderCall.of_step(*listed.values())
        assert projected is listed.pop("projected_values")
        listed["inputs"] = listed.pop("input")
    else:
        call = DecoderCall.of(*listed.values())
    found = named(call)
    assert found.keys() == listed.keys()
    for name, value in listed.items():
        assert found[name] is value, name


def backward_call(needs, **given):
    operator = "attention_decoder_backward"
    listed = dict(
        zip(names(operator), values(operator, needs=needs, cell="lstm", reset_after=True, **given), strict=True)
    )
    return BackwardCall.of(*listed.values()), listed


def test_backward_gets_gradients_call_and_what_was_kept_under_their_names():
    call, listed = backward_call((True,) * 12)
    grads = [f"grad_{name}" for name in call.grads._fields]
    assert [listed[name] for name in grads] == list(call.grads)
    kept = ("states", "contexts", "weights", "cells", "activations", "queries")
    assert call.kept._fields == kept and all(getattr(call.kept, name) is listed[name] for name in kept)
    assert call.call.inputs is listed["inputs"] and call.call.reset_after is True


def test_results_are_what_was_asked_for_each_in_its_tensors_dtype():
    needs = tuple(name in ("state", "v", "query_bias") for name in DIFFERENTIABLE)
    call, _ = backward_call(needs, query_bias=None, v=torch.zeros(2, dtype=torch.bfloat16))
    found = {name: torch.ones(2, dtype=torch.float32) for name in DIFFERENTIABLE}
    results = dict(zip(DIFFERENTIABLE, call.results(found), strict=True))
    assert results["v"].dtype == torch.bfloat16 and results["state"].dtype == torch.float32
    assert {name for name, gradient in results.items() if gradient.numel()} == {"state", "v"}


def test_with_the_reset_before_the_candidate_multiplies_another_state():
    given = dict(zip(names("attention_decoder_forward"), values("attention_decoder_forward"), strict=True))
    given |= {"weight_hh": torch.zeros(12, 4), "weight_ih": torch.zeros(12, 5 + 7)}
    rows = {}
    for cell, reset_after in (("rnn", True), ("gru", True), ("gru", False), ("lstm", True)):
        call = DecoderCall.of(*{**given, "cell": cell, "reset_after": reset_after}.values())
        rows[cell, reset_after] = (call.direct_rows, call.activations)
        assert call.input_weight.shape == (12, 5) and call.context_weight.shape == (12, 7)
    assert rows == {("rnn", True): (12, 4), ("gru", True): (12, 16), ("gru", False): (8, 12), ("lstm", True): (12, 16)}
