"""The PTX interpreter counts the rounds in which shared memory serves the loads of a warp."""

import pytest

from tests.emulators.ptx_text import kernel

LOADS = {4: "ld.shared.b32 %r5, [%r4];", 8: "ld.shared.v2.b32 {%r5, %r6}, [%r4];"}
LOADS[16] = "ld.shared.v4.b32 {%r5, %r6, %r7, %r8}, [%r4];"


def rounds(size, stride):
    """Of one load of `size` bytes a lane, lanes `stride` bytes apart."""
    text = f"mov.u32 %r1, %tid.x; mul.lo.u32 %r4, %r1, {stride}; {LOADS[size]}"
    report = kernel("u64", text).launch(grid=1, block=32, args=[None], shared=32 * 64 + 16, traffic=True)
    return report.banks.rounds, report.banks.least


@pytest.mark.parametrize(
    ("size", "stride", "wanted"),
    [
        (4, 4, (1, 1)),  # a bank each
        (4, 0, (1, 1)),  # one word for all
        (4, 16, (4, 1)),  # every fourth bank
        (4, 32, (8, 1)),  # every eighth
        (8, 8, (2, 2)),  # half a warp at a time
        (16, 16, (4, 4)),  # a quarter at a time
        (16, 32, (8, 4)),
        (16, 64, (16, 4)),
    ],
)
def test_lanes_that_meet_in_a_bank_wait_for_each_other(size, stride, wanted):
    assert rounds(size, stride) == wanted
