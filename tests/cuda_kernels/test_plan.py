"""Whether the decoder fits one launch, for devices by their published properties."""

import dataclasses

import pytest

from seq2seq_fast.cuda_kernels.outlook import outlook
from seq2seq_fast.cuda_kernels.plan import A100, B200, H100, RTX_3090, RTX_4090, plan_decoder
from seq2seq_fast.cuda_kernels.plan_backward import plan_decoder_backward

PAPER = {"batch": 80, "positions": 50, "units": 1000, "hidden": 1000}
MULTI30K = {"batch": 128, "positions": 20, "units": 320, "hidden": 320}


def plan(device, sizes, itemsize, cell="gru", reset_after=True, planner=plan_decoder):
    return planner(device, cell=cell, reset_after=reset_after, itemsize=itemsize, **sizes)


@pytest.mark.parametrize(
    ("device", "itemsize", "fits", "keys_resident"),
    [
        (A100, 2, True, False),
        (H100, 2, True, True),
        (B200, 2, True, True),
        (RTX_4090, 2, True, False),
        (RTX_3090, 2, False, None),
        (A100, 4, False, None),
        (H100, 4, True, False),
        (B200, 4, True, False),
    ],
)
def test_at_the_papers_sizes(device, itemsize, fits, keys_resident):
    found = plan(device, PAPER, itemsize)
    assert found.fits == fits, str(found)
    assert found.fits == (found.shared_bytes <= device.shared_bytes)
    if fits:
        assert found.blocks == device.multiprocessors and found.rows * found.blocks >= 4000
        assert found.keys_resident == keys_resident
        assert f"bound by {found.bound}" in str(found)
    else:
        assert f"{found.shared_bytes} bytes" in found.reason and "a few launches a position" in str(found)


@pytest.mark.parametrize("device", [A100, H100, B200, RTX_3090, RTX_4090], ids=lambda d: str(d.multiprocessors))
@pytest.mark.parametrize("itemsize", [2, 4])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("planner", [plan_decoder, plan_decoder_backward])
def test_multi30k_fits_every_device(device, itemsize, cell, planner):
    assert plan(device, MULTI30K, itemsize, cell, planner=planner).fits


# Bytes of a number with which one launch fits at the paper's sizes, forward and backward alike.
FITS = {
    "rnn": {A100: {2, 4}, H100: {2, 4}, B200: {2, 4}, RTX_4090: {2, 4}, RTX_3090: {2}},
    "gru": {A100: {2}, H100: {2, 4}, B200: {2, 4}, RTX_4090: {2}, RTX_3090: set()},
    "lstm": {A100: {2}, H100: {2, 4}, B200: {2, 4}, RTX_4090: set(), RTX_3090: set()},
}


@pytest.mark.parametrize("planner", [plan_decoder, plan_decoder_backward])
@pytest.mark.parametrize("cell", FITS)
def test_each_cell_at_the_papers_sizes(cell, planner):
    for device, fitting in FITS[cell].items():
        for itemsize in (2, 4):
            found = plan(device, PAPER, itemsize, cell, planner=planner)
            assert found.fits == (itemsize in fitting), f"{device}: {found}"
            assert found.fits or f"{found.shared_bytes} bytes" in found.reason


@pytest.mark.parametrize(("device", "itemsize"), [(A100, 2), (H100, 2), (B200, 2), (RTX_4090, 2), (H100, 4), (B200, 4)])
def test_backward_at_the_papers_sizes_shares_the_products_depth(device, itemsize):
    found = plan(device, PAPER, itemsize, planner=plan_decoder_backward)
    assert found.parts > 1 and found.shared_bytes <= device.shared_bytes
    assert found.blocks // found.parts * found.rows >= 1000


def test_small_batches_spread_a_source_over_blocks():
    found = plan(H100, PAPER | {"batch": 8}, 2)
    assert found.slices == 16
    assert plan(H100, PAPER, 2).slices == 1
    assert plan(H100, PAPER | {"batch": 1}, 2).slices == 32  # no fewer than 32 units each


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"reset_after": False}, "a GRU whose reset gate works before the product has no kernel of its own"),
        ({"sizes": PAPER | {"hidden": 1001}}, "1000 attention units and 1001 hidden units are not both multiples of 8"),
        ({"sizes": PAPER | {"batch": 0}}, "nothing to attend"),
        ({"sizes": PAPER | {"positions": 0}}, "nothing to attend"),
        ({"device": dataclasses.replace(H100, cooperative=False)}, "no cooperative launch"),
    ],
)
def test_what_has_no_kernel_says_so(change, reason):
    for planner in (plan_decoder, plan_decoder_backward):
        found = plan(**{"device": H100, "sizes": PAPER, "itemsize": 2, "planner": planner} | change)
        assert not found.fits and reason in found.reason


def test_the_bound_moves_with_the_batch():
    cycles = {batch: plan(H100, PAPER | {"batch": batch}, 2).cycles for batch in (8, 80, 800)}
    assert cycles[8]["projected values"] < cycles[80]["projected values"] < cycles[800]["projected values"]
    assert cycles[8]["barriers of the grid"] == cycles[800]["barriers of the grid"]


def test_an_outlook_names_what_runs_in_one_launch_and_why_the_rest_does_not():
    reasons = {
        name: {(one.sizes, one.cell, one.dtype): one.why_not for one in outlook(device)}
        for name, device in (("A100", A100), ("RTX 3090", RTX_3090))
    }
    paper = "the paper's sizes"
    assert not reasons["A100"][paper, "gru", "16 bits"] and not reasons["A100"][paper, "lstm", "16 bits"]
    told = f"a block needs {plan(A100, PAPER, 4).shared_bytes} bytes"
    assert reasons["A100"][paper, "gru", "float32"].startswith(told)
    assert all("bytes of shared memory" in reasons["RTX 3090"][paper, cell, "16 bits"] for cell in ("gru", "lstm"))
    assert not any(why for (sizes, _, _), why in reasons["RTX 3090"].items() if sizes == "Multi30k's sizes")
    assert {(one.sizes, one.cell, one.dtype) for one in outlook(H100) if not one.why_not} >= {
        ("the paper's sizes", "lstm", "float32"), ("Multi30k's sizes", "gru", "16 bits"),
    }  # fmt: skip


@pytest.mark.parametrize(("itemsize", "forward", "backward"), [(4, 812.5, 1218.75), (2, 1625.0, 2437.5)])
def test_operands_in_shared_memory_have_their_cost(itemsize, forward, backward):
    assert plan(H100, PAPER, itemsize).cycles["queries and v in shared memory"] == forward
    reversed_plan = plan(H100, PAPER, itemsize, planner=plan_decoder_backward)
    assert reversed_plan.cycles["gradients of gates in shared memory"] == backward
