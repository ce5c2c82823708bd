import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seq2seq_fast import attention_decoder_step, attention_memory
from tests.support.cases import GATES, decoder_case, decoder_cases, run_decoder
from tests.support.engines import ENGINES
from tests.support.truth import assert_near


def decode(case, backend, projected, beams=None):
    """All positions of a case, one step at a time."""
    t, options = case.tensors, dict(case.options)
    lengths, mask, state_mask = (options.pop(name) for name in ("lengths", "mask", "state_mask"))
    context_weight = t["weight_ih"][:, t["inputs"].shape[2] :] if projected else None
    memory = attention_memory(t["keys"], t["values"], lengths=lengths, mask=mask, context_weight=context_weight)

    def spread(tensor):
        return tensor if beams is None or tensor is None else tensor.unsqueeze(1).expand(-1, beams, -1)

    state = spread(t["state"]) if t["cell_state"] is None else (spread(t["state"]), spread(t["cell_state"]))
    steps = []
    for input in t["inputs"].unbind(1):
        step = attention_decoder_step(
            spread(input), state, memory, t["query_weight"], t["v"], t["weight_ih"], t["weight_hh"], t["bias_ih"],
            t["bias_hh"], query_bias=t["query_bias"], state_mask=spread(state_mask), backend=backend, **options,
        )  # fmt: skip
        state = step.state
        steps.append((state[0] if isinstance(state, tuple) else state, step.context, step.weights))
    return [torch.stack(parts, 1) for parts in zip(*steps, strict=True)]


@pytest.mark.parametrize("engine", ENGINES, ids=str)
@pytest.mark.parametrize("gradients", [False, True])
@given(data=st.data())
def test_steps_equal_the_whole_sequence(engine, gradients, data):
    case = data.draw(decoder_cases(device=engine.device).filter(lambda c: c.tensors["inputs"].shape[1] > 0))
    with torch.set_grad_enabled(gradients):
        found = decode(case, engine.backend, projected=data.draw(st.booleans()))
    whole = run_decoder(list(case.tensors.values()), case.options, "reference")
    for name, a, b in zip(("states", "contexts", "weights"), found, whole, strict=False):
        assert_near(a, b.double(), error=3e-5, name=name)


@pytest.mark.parametrize("engine", ENGINES, ids=str)
@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("projected", [False, True])
def test_beams_are_queries_on_one_memory(engine, cell, projected):
    case = decoder_case(cell, 3, 2, 5, 9, 17, 18, 19, device=engine.device, lengths=[5, 0, 3], state_mask=True)
    with torch.no_grad():
        alone = decode(case, engine.backend, projected)
        beams = decode(case, engine.backend, projected, beams=4)
    for a, b in zip(beams, alone, strict=True):
        assert a.shape[2] == 4
        for k in range(4):
            assert_near(a[:, :, k], b.double(), error=1e-5)


@pytest.mark.parametrize("engine", ENGINES, ids=str)
def test_gradients_of_a_step_are_those_of_a_sequence_of_one(engine):
    case = decoder_case("gru", target=1, device=engine.device)
    tensors = [t for t in case.tensors.values() if t is not None]
    one = decode(case, engine.backend, projected=False)
    found = torch.autograd.grad(one[0].sum() + one[1].square().sum(), tensors)
    whole = run_decoder(list(case.tensors.values()), case.options, "reference")
    wanted = torch.autograd.grad(whole[0].sum() + whole[1].square().sum(), tensors)
    for a, b in zip(found, wanted, strict=True):
        assert_near(a, b.double(), error=3e-5)


def test_a_state_of_other_beams_is_named():
    case = decoder_case("gru", batch=2)
    t = {k: v.detach() for k, v in case.tensors.items() if v is not None}
    memory = attention_memory(t["keys"], t["values"])
    with pytest.raises(ValueError, match=r"state must be \[B, K, H\] = \[2, 3, any\]; got shape \(2, 4, 7\)"):
        attention_decoder_step(
            torch.zeros(2, 3, 5),
            torch.zeros(2, 4, 7),
            memory,
            t["query_weight"],
            t["v"],
            t["weight_ih"],
            t["weight_hh"],
        )


@pytest.mark.parametrize("engine", ENGINES, ids=str)
@pytest.mark.parametrize("cell", GATES)
def test_autocast_carries_a_float32_state(engine, cell):
    case = decoder_case(cell, device=engine.device)
    for gradients in (False, True):
        with torch.autocast(engine.device, dtype=torch.bfloat16), torch.set_grad_enabled(gradients):
            states, contexts, _ = decode(case, engine.backend, projected=True)
        assert states.dtype == torch.float32 and contexts.dtype == torch.bfloat16
        assert_near(states, run_decoder(list(case.tensors.values()), case.options, "reference")[0].double(), error=0.05)
