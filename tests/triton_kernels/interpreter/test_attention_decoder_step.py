import pytest
import torch

import seq2seq_fast
from tests.support.cases import GATES, decoder_case
from tests.support.engines import dtype_name
from tests.support.truth import assert_near, double
from tests.triton_kernels.comparisons import DTYPES, proved, quick_first


def step(case, beams, projected, backend, tensors=None):
    """The first position of a case, every source with ``beams`` beams: state (and cell), context, weights."""
    given = dict(zip(case.tensors, case.tensors.values() if tensors is None else tensors, strict=True))
    size = given["values"].shape[2]
    memory = seq2seq_fast.attention_memory(
        given["keys"], given["values"], lengths=case.options["lengths"],
        context_weight=given["weight_ih"][:, -size:] if projected else None,
    )  # fmt: skip

    def rows(t):
        return None if t is None else torch.stack([t * (1 + 0.1 * i) for i in range(beams)], 1)

    hidden, cell_state = rows(given["state"]), rows(given["cell_state"])
    names = ("query_weight", "v", "weight_ih", "weight_hh", "bias_ih", "bias_hh")
    output = seq2seq_fast.attention_decoder_step(
        rows(given["inputs"][:, 0]), hidden if cell_state is None else (hidden, cell_state), memory,
        *(given[name] for name in names), query_bias=given["query_bias"], cell=case.options["cell"],
        reset_after=case.options["reset_after"], backend=backend,
    )  # fmt: skip
    state = output.state if isinstance(output.state, tuple) else (output.state,)
    return [*state, output.context, output.weights]


@pytest.mark.parametrize("projected", quick_first([True, False]))
@pytest.mark.parametrize(("cell", "reset_after"), [*((cell, True) for cell in GATES), ("gru", False)])
@torch.no_grad()
def test_a_step_of_several_beams_matches_float64_truth(cell, reset_after, projected, poisoned):
    case = decoder_case(cell, 2, 1, 18, 3, 7, 6, 8, reset_after=reset_after, lengths=[18, 4])
    found = step(case, 2, projected, "triton")
    truth = step(case, 2, projected, "reference", double(list(case.tensors.values())))
    for a, b in zip(found, truth, strict=True):
        assert_near(a, b, error=2e-5, roundings=4)


@pytest.mark.parametrize("beams", [1, proved(11)])
@pytest.mark.parametrize("dtype", DTYPES[1:], ids=dtype_name)
@torch.no_grad()
def test_sixteen_bit_steps_match_truth_to_their_rounding(beams, dtype, poisoned):
    case = decoder_case("gru", 2, 1, 5, 3, 7, 6, 8, dtype=dtype)
    found = step(case, beams, True, "triton")
    truth = step(case, beams, True, "reference", double(list(case.tensors.values())))
    for a, b in zip(found, truth, strict=True):
        assert_near(a, b, error=2e-5, roundings=8)


@pytest.mark.prove
@pytest.mark.parametrize("projected", [True, False])
@pytest.mark.parametrize("reset_after", [True, False])
@torch.no_grad()
def test_programs_in_any_order_give_the_same_bits(reset_after, projected, shuffled, poisoned):
    case = decoder_case("gru", 2, 1, 18, 3, 5, 6, 4, reset_after=reset_after)
    results = []
    for seed in (None, 0):
        shuffled(seed)
        results.append(step(case, 2, projected, "triton"))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
