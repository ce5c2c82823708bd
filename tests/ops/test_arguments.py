"""Arguments of operators that are no tensors, of unusual dtypes, or of size 0."""

import itertools

import pytest
import torch

import seq2seq_fast as s

B, TX, TY, A, D, H, E = 2, 3, 4, 5, 6, 4, 3
UNSIGNED = [torch.uint8, torch.uint16, torch.uint32, torch.uint64]


def cases():
    r = torch.randn
    lengths, mask = torch.tensor([1, 3]), torch.ones(B, TX, dtype=torch.bool)
    memory = s.attention_memory(r(B, TX, A), r(B, TX, D))
    cell = {"weight_hh": r(3 * H, H), "bias_ih": r(3 * H), "bias_hh": r(3 * H)}
    decoder = {"query_weight": r(A, H), "v": r(A), "weight_ih": r(3 * H, E + D), **cell, "query_bias": r(A)}
    pair = {"keys": r(B, TX, A), "values": r(B, TX, D)}
    return {
        "attention_memory": {**pair, "lengths": lengths, "mask": mask, "context_weight": r(8, D)},
        "attend": {"query": r(B, TY, A), "memory": memory, "v": r(A), "lengths": lengths, "mask": mask, "bias": r(1)},
        "additive_attention": {"query": r(B, TY, A), **pair, "v": r(A), "lengths": lengths},
        "additive_score": {"query": r(B, TY, A), "memory": memory, "v": r(A)},
        "gru_cell": {"input": r(B, E), "hidden": r(B, H), "weight_ih": r(3 * H, E), **cell},
        "attention_decoder": {"inputs": r(B, TY, E), "state": r(B, H), **pair, **decoder, "lengths": lengths},
        "attention_decoder_step": {"input": r(B, E), "state": r(B, H), "memory": memory, **decoder},
    }


CASES = cases()


@pytest.mark.parametrize(("name", "argument"), [(name, argument) for name, case in CASES.items() for argument in case])
def test_what_is_no_tensor_is_an_error_that_says_so(name, argument):
    operator, case = getattr(s, name), CASES[name]
    operator(**case)
    for wrong in (3.5, "x", [1.0], object(), True):
        if argument == "lengths" and wrong == [1.0]:
            continue  # a list of numbers may be lengths
        with pytest.raises((TypeError, ValueError), match=f"{argument}|lengths"):
            operator(**case | {argument: wrong})


@pytest.mark.parametrize("dtype", UNSIGNED, ids=str)
def test_lengths_may_be_unsigned(dtype):
    keys, values = torch.randn(B, TX, A), torch.randn(B, TX, D)
    wanted = s.attention_memory(keys, values, lengths=torch.tensor([1, 3]))
    found = s.attention_memory(keys, values, lengths=torch.tensor([1, 3]).to(dtype))
    assert torch.equal(found.values, wanted.values) and found.lengths.dtype == torch.int64
    with pytest.raises(ValueError, match="lengths must lie between 0 and the source's 3 positions; got 1 to 9"):
        s.attention_memory(keys, values, lengths=torch.tensor([1, 9]).to(dtype))


@pytest.mark.parametrize(("batch", "inputs", "hidden"), [*itertools.product((0, 2), (0, 3), (0, 4))])
@pytest.mark.parametrize("reset_after", [True, False])
def test_a_gru_of_any_size_is_the_references(batch, inputs, hidden, reset_after):
    shapes = [
        (batch, inputs),
        (batch, hidden),
        (3 * hidden, inputs),
        (3 * hidden, hidden),
        (3 * hidden,),
        (3 * hidden,),
    ]
    given = [torch.randn(shape) for shape in shapes]
    found = []
    for backend in ("reference", None):
        leaves = [one.clone().requires_grad_() for one in given]
        output = s.gru_cell(*leaves, reset_after=reset_after, backend=backend)
        output.square().sum().backward()
        assert output.shape == (batch, hidden)
        found.append([output.detach(), *(leaf.grad for leaf in leaves)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)
