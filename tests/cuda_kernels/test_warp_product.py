"""The tensor cores' host twin, and the product that a warp makes with it, against plain loops in float64."""

from pathlib import Path

import pytest

from tests.emulators.cudafiber import compiler

PROGRAM = Path(__file__).parent / "programs" / "warp_product.cu"


@pytest.mark.parametrize("schedule", ["forward", "random:1"])
def test_every_lane_holds_what_the_manual_says_and_sums_match_truth(schedule):
    program = compiler.build([PROGRAM], "warp_product", flags=("-O1", "-fno-strict-aliasing"))
    done = compiler.run(program, CUDAFIBER_SCHED=schedule)
    assert done.returncode == 0, done.stdout + done.stderr
