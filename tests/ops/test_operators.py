"""What holds of every operator in the registry, on every engine that is here."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seq2seq_fast.cases import OPERATORS
from seq2seq_fast.cases.comparison import Bound
from seq2seq_fast.cases.evaluate import call, compare_all, examined, named_gradients, on, projections, with_gradients
from seq2seq_fast.doctor.checks import Target, applicable, run_check
from tests.support.cases import drawn, inputs_of, misplaced
from tests.support.engines import DTYPES, ENGINES, FUSED, dtype_name
from tests.support.truth import assert_all

IN_FLOAT64 = [engine for engine in ENGINES if engine.serves(torch.float64)]
EVERY_OPERATOR = pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.name)
EVERY_FORM = pytest.mark.parametrize(
    ("operator", "form"), [(o, f) for o in OPERATORS for f in range(len(o.forms))], ids=lambda v: getattr(v, "name", v)
)


@pytest.mark.parametrize("engine", ENGINES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=dtype_name)
@EVERY_OPERATOR
@given(data=st.data())
def test_outputs_and_all_gradients_match_float64_truth(engine, dtype, operator, data):
    inputs = data.draw(inputs_of(operator, dtype, engine.device))
    if engine.lacks(dtype):
        with pytest.raises(ValueError, match="cannot serve"):
            call(operator, inputs, on(operator, engine.backend))
        return
    assert_all(list(examined(operator, inputs, on(operator, engine.backend), "")))


@pytest.mark.parametrize("engine", ENGINES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=dtype_name)
@EVERY_OPERATOR
def test_every_check_of_the_doctor_passes(engine, dtype, operator):
    """Awkward sizes, padding, empty rows, large arguments, NaN, the same bits twice; beyond one block in float32."""
    if engine.lacks(dtype):
        return
    target = Target(engine.backend, torch.device(engine.device), dtype, quick=dtype != torch.float32)
    checks = [run_check(name, operator, target) for name in applicable(operator, target.device)]
    assert len(checks) >= 5
    assert all(check is None or check.compared for check in checks)
    assert [check.explanations for check in checks if check is not None and not check.passed] == []


@pytest.mark.parametrize("engine", FUSED, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=dtype_name)
@EVERY_FORM
def test_tensors_at_any_address_match_truth(engine, dtype, operator, form):
    sizes = {"batch": 3, "queries": 5, "beams": 2, "source": 9, "target": 2}
    sizes = {name: sizes.get(name, 16) for name in operator.size_names}
    inputs = drawn(operator, sizes, operator.forms[form], dtype, engine.device)
    for name, tensor in inputs.tensors.items():
        inputs.tensors[name] = misplaced(tensor)
    assert_all(list(examined(operator, inputs, on(operator, engine.backend), "")))


@pytest.mark.parametrize("engine", IN_FLOAT64, ids=str)
@EVERY_FORM
def test_gradcheck_and_gradgradcheck(engine, operator, form):
    sizes = dict.fromkeys(operator.size_names, 2) | ({"source": 3} if operator.attends else {})
    inputs = drawn(operator, sizes, operator.forms[form], torch.float64, engine.device).requiring_gradients()
    if operator.attends:
        inputs.constants["lengths"] = torch.tensor([3, 2], device=engine.device)

    def function(*tensors):
        given = type(inputs)(dict(zip(inputs.tensors, tensors, strict=True)), inputs.constants, inputs.options)
        found = call(operator, given, on(operator, engine.backend))
        # A masked score is minus infinity, a constant.
        return tuple(output.nan_to_num(neginf=0.0) for output in found.values())

    assert torch.autograd.gradcheck(function, list(inputs.tensors.values()))
    # Twelve tensors at every entry take minutes: a random direction of each does for the second derivatives.
    fast = len(inputs.tensors) > 8
    assert torch.autograd.gradgradcheck(function, list(inputs.tensors.values()), fast_mode=fast)


@pytest.mark.parametrize("engine", FUSED, ids=str)
@EVERY_OPERATOR
@given(data=st.data())
def test_every_subset_of_requires_grad_gives_the_same_gradients(engine, operator, data):
    form = data.draw(st.sampled_from(operator.forms))
    sizes = dict.fromkeys(operator.size_names, 3) | {n: 9 for n in ("units", "hidden") if n in operator.size_names}
    inputs, run = drawn(operator, sizes, form, device=engine.device), on(operator, engine.backend)
    outputs, every = with_gradients(operator, inputs, run)
    chosen = data.draw(st.sets(st.sampled_from(sorted(inputs.tensors))))
    some = inputs.requiring_gradients()
    for name in set(some.tensors) - chosen:
        some.tensors[name] = some.tensors[name].detach()
    found = call(operator, some, run)
    if not chosen:
        assert not any(output.requires_grad for output in found.values())
        return
    leaves = {name: some.tensors[name] for name in sorted(chosen)}
    gradients = named_gradients(found, leaves, projections(list(found.values())))
    wanted = {name: every[name] for name in gradients}
    assert_all(list(compare_all(gradients | found, wanted | outputs, "", Bound(relative=1e-5, roundings=2))))


@pytest.mark.parametrize("engine", ENGINES, ids=str)
@EVERY_FORM
def test_one_output_alone_can_be_differentiated(engine, operator, form):
    inputs = drawn(operator, operator.degenerate().sizes, operator.forms[form], device=engine.device)
    names = list(call(operator, inputs, on(operator, "reference")))
    for used in names:

        def alone(run, used=used):
            return lambda inputs, memory: {used: run(inputs, memory)[used]}

        found = with_gradients(operator, inputs, alone(on(operator, engine.backend)))[1]
        true = with_gradients(operator, inputs.to(torch.float64), alone(on(operator, "reference")))[1]
        assert_all(list(compare_all(found, true, used, operator.bounds(inputs)[1])))
