import dataclasses

import pytest
import torch

from seq2seq_fast import attend, attention_memory
from tests.support.cases import attention_case
from tests.support.engines import ENGINES
from tests.support.truth import assert_near


def test_masked_keys_and_values_are_zeroed_and_both_masks_are_needed():
    case = attention_case(2, 1, 4, 3, 2, lengths=[3, 4], mask=[[True, False, True, True], [False, True, True, True]])
    memory = attention_memory(case.keys, case.values, lengths=case.lengths, mask=case.mask)
    attended = torch.tensor([[True, False, True, False], [False, True, True, True]])
    assert torch.equal(memory.attended, attended)
    assert bool((memory.keys[~attended] == 0).all()) and torch.equal(memory.keys[attended], case.keys[attended])
    assert bool((memory.values[~attended] == 0).all()) and torch.equal(memory.values[attended], case.values[attended])


def test_without_masks_nothing_is_copied():
    case = attention_case()
    memory = attention_memory(case.keys, case.values)
    assert memory.keys is case.keys and memory.values is case.values and memory.attended is None


def test_the_range_guard_fails_on_nan_and_beyond_forty():
    keys = torch.zeros(5, 3, 2)
    keys[1, 2, 1], keys[2, 0, 0], keys[3, 1, 1], keys[4, 0, 0] = float("nan"), 40.5, float("-inf"), -40.0
    memory = attention_memory(keys, keys)
    if memory.in_range is None:
        assert all(engine.backend == "reference" for engine in ENGINES)
    else:
        assert memory.in_range.tolist() == [True, False, False, False, True]
        torch.testing.assert_close(memory.exponentials[0], torch.exp(2 * keys[0]))


def test_projected_values_are_the_values_times_the_contexts_weight():
    case = attention_case(2, 1, 4, 3, 6, lengths=[4, 1])
    weight = torch.randn(9, 6, requires_grad=True)
    memory = attention_memory(case.keys, case.values, lengths=case.lengths, context_weight=weight)
    torch.testing.assert_close(memory.projected_values, memory.values @ weight.T)
    memory.projected_values.sum().backward()
    assert weight.grad is not None and bool((case.values.grad[1, 1:] == 0).all())


@pytest.mark.parametrize("engine", ENGINES, ids=str)
@pytest.mark.parametrize("index", [[2, 0], [True, False, True]])
def test_selected_sources_attend_as_in_the_whole_batch(engine, index):
    case = attention_case(3, 2, 5, 9, 4, device=engine.device, lengths=[5, 2, 3])
    memory = attention_memory(case.keys, case.values, lengths=case.lengths)
    rows = torch.tensor(index, device=engine.device)
    context, _ = attend(case.query[rows], memory.select(rows), case.v, backend=engine.backend)
    whole, _ = attend(case.query, memory, case.v, backend=engine.backend)
    assert_near(context, whole[rows].double(), error=1e-6)


def test_a_memory_cannot_be_changed():
    case = attention_case()
    memory = attention_memory(case.keys, case.values)
    with pytest.raises(dataclasses.FrozenInstanceError):
        memory.keys = case.values


def test_the_contexts_weight_is_checked():
    case = attention_case(size=6)
    with pytest.raises(ValueError, match=r"context_weight must be \[G H, D\] = \[any, 6\]"):
        attention_memory(case.keys, case.values, context_weight=torch.zeros(9, 5))


def test_a_memory_prints_its_shapes():
    memory = attention_memory(torch.zeros(2, 3, 4), torch.zeros(2, 3, 5), lengths=torch.tensor([3, 1]))
    printed = repr(memory)
    assert printed.startswith("AttentionMemory(keys=[2, 3, 4], values=[2, 3, 5], ") and "torch.float32, cpu)" in printed
