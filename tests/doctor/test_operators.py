import pytest
import torch

import seq2seq_fast
from seq2seq_fast.doctor.evaluate import call, exact_products, poisoned_memory, with_gradients
from seq2seq_fast.doctor.operators import OPERATORS, Draw
from seq2seq_fast.doctor.operators.decoder import AttentionDecoder

CPU = torch.device("cpu")


def test_every_public_operator_but_the_memory_is_examined():
    public = {"additive_attention", "additive_score", "attend", "attention_decoder", "attention_decoder_step"}
    public |= {"gru_cell", "lstm_cell"}
    assert {operator.name for operator in OPERATORS} == public
    assert all(callable(getattr(seq2seq_fast, name)) for name in public)


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.name)
def test_inputs_are_the_same_numbers_in_every_dtype_to_rounding(operator):
    case = operator.degenerate()
    wide = operator.inputs(case, Draw(torch.float64, CPU))
    narrow = operator.inputs(case, Draw(torch.bfloat16, CPU))
    for name, tensor in wide.tensors.items():
        assert torch.equal(tensor.bfloat16(), narrow.tensors[name])
    assert all(
        torch.equal(wide.constants[name], narrow.constants[name]) for name in ("lengths", "mask") if operator.attends
    )


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.name)
def test_every_tensor_has_a_gradient(operator):
    inputs = operator.inputs(operator.cases(quick=True)[-1], Draw(torch.float64, CPU))
    _, gradients = with_gradients(operator, inputs, "reference")
    assert all(bool((gradient != 0).any()) for gradient in gradients.values())


@pytest.mark.parametrize("case", AttentionDecoder().cases(quick=False)[4:8], ids=str)
def test_a_loop_over_steps_is_the_decoder(case):
    operator = AttentionDecoder()
    inputs = operator.inputs(case, Draw(torch.float64, CPU))
    whole = call(operator, inputs, "reference")
    looped = operator.call_in_steps(inputs, seq2seq_fast.attention_decoder_step)
    assert whole.keys() == looped.keys()
    for name, tensor in whole.items():
        torch.testing.assert_close(looped[name], tensor)


def test_poison_and_precision_end_with_their_context():
    before = torch.are_deterministic_algorithms_enabled(), torch.get_float32_matmul_precision()
    with poisoned_memory(), exact_products():
        assert bool(torch.empty(9).isnan().all())
        assert torch.get_float32_matmul_precision() == "highest"
    assert before == (torch.are_deterministic_algorithms_enabled(), torch.get_float32_matmul_precision())
