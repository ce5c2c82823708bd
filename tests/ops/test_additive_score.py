import pytest
import torch

from seq2seq_fast import additive_score, attention_memory
from tests.support.cases import attention_case
from tests.support.engines import ENGINES


@pytest.mark.parametrize("engine", ENGINES, ids=str)
def test_masked_positions_score_minus_infinity(engine):
    case = attention_case(2, None, 4, 5, 3, device=engine.device, lengths=[4, 2])
    memory = attention_memory(case.keys, case.values, lengths=case.lengths)
    found = additive_score(case.query, memory, case.v, backend=engine.backend)
    assert torch.equal(found.isneginf().cpu(), torch.tensor([[False] * 4, [False, False, True, True]]))


def test_a_memory_is_asked_for_by_name():
    with pytest.raises(TypeError, match="memory must be an AttentionMemory"):
        additive_score(torch.zeros(2, 3), torch.zeros(2, 4, 3), torch.zeros(3))
