import inspect

import pytest
import torch

import seq2seq_fast
from seq2seq_fast.cases import BY_NAME, OPERATORS, Draw
from seq2seq_fast.cases.evaluate import call, examined, on, poisoned_memory, with_gradients
from seq2seq_fast.cases.sizes import PLACES

CPU = torch.device("cpu")


def by_name(operator):
    return operator.name


EVERY = list(BY_NAME.values())


def test_every_public_operator_has_its_file():
    called = {name: getattr(seq2seq_fast, name) for name in seq2seq_fast.__all__ if name.islower()}
    on_backends = {n for n, f in called.items() if callable(f) and "backend" in inspect.signature(f).parameters}
    public = on_backends | {"attention_memory"}
    assert public and public <= set(BY_NAME)
    for operator in OPERATORS:
        assert type(operator).__module__ == f"seq2seq_fast.cases.{operator.name}"


@pytest.mark.parametrize("operator", OPERATORS, ids=by_name)
def test_inputs_are_the_same_numbers_in_every_dtype_to_rounding(operator):
    case = operator.degenerate()
    wide = operator.inputs(case, Draw(torch.float64, CPU))
    narrow = operator.inputs(case, Draw(torch.bfloat16, CPU))
    for name, tensor in wide.tensors.items():
        assert torch.equal(tensor.bfloat16(), narrow.tensors[name])
    assert all(
        torch.equal(wide.constants[name], narrow.constants[name]) for name in ("lengths", "mask") if operator.attends
    )


@pytest.mark.parametrize("operator", OPERATORS, ids=by_name)
def test_every_tensor_has_a_gradient(operator):
    inputs = operator.inputs(operator.cases(quick=True)[-1], Draw(torch.float64, CPU))
    _, gradients = with_gradients(operator, inputs, on(operator, "reference"))
    assert all(bool((gradient != 0).any()) for gradient in gradients.values())


@pytest.mark.parametrize("operator", EVERY, ids=by_name)
def test_eagers_way_gives_what_the_reference_gives(operator):
    """In float64 and to its rounding, at every awkward case of every form: lengths, masks, dropped units."""
    for case in operator.cases(quick=False):
        inputs = operator.inputs(case, Draw(torch.float64, CPU))
        for comparison in examined(operator, inputs, lambda inputs, memory: operator.eager(inputs), str(case)):
            assert comparison.passed, comparison


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("operator", EVERY, ids=by_name)
def test_every_operator_runs_at_every_place_in_the_form_of_its_cell(operator, place):
    case = operator.at(place)
    assert case.sizes == {name: PLACES[place].sizes[name] for name in operator.size_names}
    assert case.options.get("cell", PLACES[place].cell) == PLACES[place].cell
    small = case.divided(40)
    inputs = operator.inputs(small, Draw(torch.float32, CPU))
    assert call(operator, inputs, on(operator, "reference")).keys() == operator.eager(inputs).keys()


@pytest.mark.parametrize("operator", EVERY, ids=by_name)
def test_the_least_work_moves_every_tensor_once(operator):
    case = operator.degenerate()
    inputs = operator.inputs(case, Draw(torch.float32, CPU))
    outputs = call(operator, inputs, on(operator, "reference"))
    held, made = (sum(t.numel() for t in tensors.values()) for tensors in (inputs.tensors, outputs))
    forward = operator.forward_work(case.sizes, inputs, outputs, training=False)
    assert forward.read == held and forward.written >= made
    backward = operator.backward_work(case.sizes, inputs, outputs)
    assert backward.read > 0 and backward.written > 0
    assert (operator.limited_by == "operations") == (forward.operations > 0 and backward.operations > 0)
    assert (operator.limited_by == "products") == bool(forward.products)


def test_an_output_that_is_missing_or_too_many_is_no_success():
    operator = BY_NAME["lstm_cell"]
    inputs = operator.inputs(operator.degenerate(), Draw(torch.float32, CPU))
    for run in (lambda i, m: {"hidden": operator.eager(i)["hidden"]}, lambda i, m: operator.eager(i) | {"more": i}):
        with pytest.raises((ValueError, AttributeError), match=r"hidden|requires_grad|shape"):
            list(examined(operator, inputs, run, ""))


def test_poison_ends_with_its_context():
    before = torch.are_deterministic_algorithms_enabled()
    with poisoned_memory():
        assert bool(torch.empty(9).isnan().all())
    assert before == torch.are_deterministic_algorithms_enabled()
