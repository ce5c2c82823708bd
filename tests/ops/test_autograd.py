import pytest
import torch

import seq2seq_fast
from seq2seq_fast.ops.recurrent_sequence import recurrent_sequence
from tests.support.cases import attention_case, sequence_tensors
from tests.support.engines import FUSED

CALLS = {
    "additive_attention": lambda tensors, backend: seq2seq_fast.additive_attention(*tensors, backend=backend)[0],
    "gru_cell": lambda tensors, backend: seq2seq_fast.gru_cell(*tensors, backend=backend),
    "recurrent_sequence": lambda tensors, backend: recurrent_sequence(*tensors, backend=backend)[0],
}


def tensors_of(name, device):
    inputs, state, _, *parameters = sequence_tensors("gru", 2, 3, 4, 5)
    found = {
        "additive_attention": attention_case(2, 3, 5, 7, 6).differentiable,
        "gru_cell": [inputs[:, 0], state, *parameters],
        "recurrent_sequence": [inputs, state, *parameters],
    }[name]
    return [t.detach().to(device) for t in found]


@pytest.mark.parametrize("name", CALLS)
def test_the_reference_has_forward_mode_derivatives(name):
    first, *rest = tensors_of(name, "cpu")
    _, tangent = torch.func.jvp(lambda t: CALLS[name]([t, *rest], "reference"), (first,), (torch.ones_like(first),))
    assert bool((tangent != 0).any())


@pytest.mark.parametrize("engine", FUSED, ids=str)
@pytest.mark.parametrize("name", CALLS)
def test_a_fused_backend_refuses_forward_mode_and_never_gives_zeros(engine, name):
    if name == "recurrent_sequence" and engine.backend != "cpu":
        return
    first, *rest = tensors_of(name, engine.device)
    with pytest.raises(RuntimeError):
        torch.func.jvp(lambda t: CALLS[name]([t, *rest], engine.backend), (first,), (torch.ones_like(first),))
    with torch.autograd.forward_ad.dual_level(), pytest.raises(RuntimeError):
        CALLS[name]([torch.autograd.forward_ad.make_dual(first, torch.ones_like(first)), *rest], engine.backend)
