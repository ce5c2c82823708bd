"""Sizes of 0: every operator, in every form, is the reference's where anything of it is empty."""

from dataclasses import replace

import pytest
import torch

import seq2seq_fast
from seq2seq_fast.cases import OPERATORS
from seq2seq_fast.cases.evaluate import named_gradients, poisoned_memory, projections
from tests.support.cases import drawn, dropped
from tests.support.engines import ENGINES
from tests.support.truth import assert_near

SIZES = {"batch": 2, "queries": 3, "beams": 2, "target": 2, "source": 3, "embedding": 3, "units": 8, "values": 5,
         "hidden": 8}  # fmt: skip


EVERY_SIZE = pytest.mark.parametrize(
    ("operator", "form", "name"),
    [(o, form, name) for o in OPERATORS for form in range(len(o.forms)) for name in o.size_names],
    ids=str,
)
ALL_OR_LEAST = pytest.mark.parametrize("given", [True, False], ids=["all given", "least given"])


def emptied(operator, form, name, device, given):
    """Inputs where one size is 0, with all that may be given or left out."""
    sizes = {size: SIZES[size] for size in operator.size_names} | {name: 0}
    inputs = drawn(operator, sizes, operator.forms[form], device=device)
    if name == "queries":  # for a case, 0 queries are one without an axis
        query = inputs.tensors["query"]
        inputs.tensors["query"] = query.new_empty(query.shape[0], 0, query.shape[-1])
    if not given:
        return replace(inputs, tensors={n: t for n, t in inputs.tensors.items() if n not in operator.optional})
    if operator.attends:
        batch, source = sizes["batch"], sizes["source"]
        inputs.constants["lengths"] = torch.tensor([source, 0][:batch], dtype=torch.int64, device=device)
        inputs.constants["mask"] = torch.ones(batch, source, dtype=torch.bool, device=device)
        inputs.constants["mask"][:, :1] = False
    if "state_mask" in operator.optional:
        inputs.constants["state_mask"] = dropped(inputs.tensors["state"])
    return inputs


def memory_of(operator, inputs, given):
    """A step's memory has projected values or has none."""
    if given or operator.name != "attention_decoder_step":
        return operator.prepare(inputs)
    return seq2seq_fast.attention_memory(inputs.tensors["keys"], inputs.tensors["values"])


def found(operator, inputs, backend, given):
    """Outputs and gradients; memory that was never written is NaN."""
    inputs = inputs.requiring_gradients()
    with poisoned_memory():
        outputs = operator.call(inputs, memory_of(operator, inputs, given), backend)
        gradients = named_gradients(outputs, inputs.tensors, projections(list(outputs.values())))
        with torch.no_grad():
            unrecorded = operator.call(inputs, memory_of(operator, inputs, given), backend)
    return outputs | gradients | {f"{name}, unrecorded": output for name, output in unrecorded.items()}


@pytest.mark.parametrize("engine", ENGINES, ids=str)
@ALL_OR_LEAST
@EVERY_SIZE
def test_a_size_of_0_gives_what_the_reference_gives(engine, given, operator, form, name):
    inputs = emptied(operator, form, name, engine.device, given)
    wanted = found(operator, inputs.to(torch.float64), "reference", given)
    got = found(operator, inputs, engine.backend, given)
    assert got.keys() == wanted.keys()
    for tensor, value in got.items():
        assert value.shape == wanted[tensor].shape, tensor
        assert_near(value, wanted[tensor], error=1e-5, name=tensor)
