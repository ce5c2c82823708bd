"""Divergence, reconvergence, barriers, warp-wide instructions, block order and counts of the PTX interpreter."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.emulators import ptx
from tests.emulators.ptx_text import compute, kernel

COLLATZ = """
    mov.b32 %d, 0; mov.b32 %r3, %x0;
LOOP:
    setp.le.s32 %p1, %r3, 1; @%p1 bra DONE;
    and.b32 %r4, %r3, 1; setp.eq.s32 %p2, %r4, 0; @%p2 bra EVEN;
    mad.lo.s32 %r3, %r3, 3, 1; bra NEXT;
EVEN:
    shr.u32 %r3, %r3, 1;
NEXT:
    add.s32 %d, %d, 1; bra LOOP;
DONE:
"""


def collatz(value):
    steps = 0
    while value > 1:
        value = value // 2 if value % 2 == 0 else 3 * value + 1
        steps += 1
    return steps


@given(st.lists(st.integers(1, 200), min_size=1, max_size=200))
def test_threads_take_their_own_way_through_loops(values):
    assert compute(COLLATZ, np.int32, np.array(values, np.int32)).tolist() == [collatz(v) for v in values]


def test_jump_tables():
    table = """
        brx.idx %x0, TABLE;
    TABLE: .branchtargets A, B, C;
    A: mov.b32 %d, 10; bra END;
    B: mov.b32 %d, 20; bra END;
    C: mov.b32 %d, 30;
    END:
    """
    assert compute(table, np.int32, np.array([2, 0, 1, 2], np.int32)).tolist() == [30, 10, 20, 30]


def test_counts_are_exact_for_threads_and_warps():
    count = 70
    x = np.arange(count, dtype=np.int32)
    module = kernel(
        "u64",
        """
        mov.u32 %r1, %tid.x; ld.param.u64 %rd1, [p0]; mad.wide.u32 %rd2, %r1, 4, %rd1; ld.global.b32 %r2, [%rd2];
        mov.b32 %r3, 0;
        LOOP: add.s32 %r3, %r3, 1; setp.lt.s32 %p1, %r3, %r2; @%p1 bra LOOP;
        setp.lt.s32 %p2, %r1, 33; @%p2 st.global.b32 [%rd2], %r3;
        """,
    )
    report = module.launch(grid=1, block=count, args=[x])
    trips = np.maximum(np.arange(count), 1)
    assert report.threads("add") == report.threads("bra") == trips.sum()
    # A warp goes round as often as its slowest thread; the third warp has 6 threads.
    assert report.warps("add") == 31 + 63 + 69
    assert report.threads("st.global.b32") == 33
    assert report.warps("st") == 2
    assert report.bytes("ld.global") == 4 * count
    assert report.bytes("st.global") == 4 * 33
    assert report.threads() == sum(report.thread_counts.values())


SUM_OF_BLOCK = """
    mov.u32 %r1, %tid.x; mov.u32 %r2, %ctaid.x; mov.u32 %r3, %ntid.x;
    mad.lo.s32 %r4, %r2, %r3, %r1; ld.param.u64 %rd1, [p0]; mad.wide.u32 %rd2, %r4, 4, %rd1; ld.global.f32 %f1, [%rd2];
    mov.u32 %r5, buffer; shl.b32 %r6, %r1, 2; add.s32 %r7, %r5, %r6; st.shared.f32 [%r7], %f1;
    shr.u32 %r8, %r3, 1;
LOOP:
    {barrier}
    setp.ge.u32 %p1, %r1, %r8; @%p1 bra SKIP;
    shl.b32 %r9, %r8, 2; add.s32 %r10, %r7, %r9; ld.shared.f32 %f2, [%r10]; ld.shared.f32 %f3, [%r7];
    add.f32 %f3, %f3, %f2; st.shared.f32 [%r7], %f3;
SKIP:
    shr.u32 %r8, %r8, 1; setp.ne.u32 %p2, %r8, 0; @%p2 bra LOOP;
    setp.ne.u32 %p3, %r1, 0; @%p3 bra END;
    ld.shared.f32 %f4, [buffer]; ld.param.u64 %rd3, [p1]; mad.wide.u32 %rd4, %r2, 4, %rd3; st.global.f32 [%rd4], %f4;
END:
"""
SHARED = ".shared .align 4 .b8 buffer[1024];"


@pytest.mark.parametrize("order", [None, 0, 1])
def test_blocks_reduce_through_shared_memory_in_any_order(order):
    x = np.random.default_rng(0).integers(-9, 9, (37, 128)).astype(np.float32)
    out = np.full(37, np.nan, np.float32)
    module = kernel("u64 u64", SUM_OF_BLOCK.replace("{barrier}", "bar.sync 0;"), SHARED)
    report = module.launch(grid=37, block=128, args=[x, out], order=order)
    np.testing.assert_array_equal(out, x.sum(1))
    assert report.threads("bar") == 37 * 128 * 7


def test_a_missing_barrier_is_a_race():
    module = kernel("u64 u64", SUM_OF_BLOCK.replace("{barrier}", ""), SHARED)
    with pytest.raises(ptx.SharedMemoryRace, match=r"no barrier between, PTX line \d+: ld.shared.f32"):
        module.launch(grid=2, block=128, args=[np.zeros((2, 128), np.float32), np.zeros(2, np.float32)])


def test_a_warp_alone_needs_no_barrier():
    x = np.arange(32, dtype=np.float32)
    out = np.zeros(1, np.float32)
    module = kernel("u64 u64", SUM_OF_BLOCK.replace("{barrier}", "bar.warp.sync 0xffffffff;"), SHARED)
    module.launch(grid=1, block=32, args=[x, out])
    assert out[0] == x.sum()


def test_a_barrier_that_some_threads_never_reach_is_an_error():
    body = "mov.u32 %r1, %tid.x; setp.lt.u32 %p1, %r1, 40; @%p1 bra HERE; bar.sync 0; bra END; HERE: bar.sync 0; END:"
    with pytest.raises(ptx.SynchronizationError, match="different barriers"):
        kernel("", body).launch(grid=1, block=64, args=[])
    body = "mov.u32 %r1, %tid.x; setp.lt.u32 %p1, %r1, 40; @%p1 bar.sync 1, 64;"
    with pytest.raises(ptx.SynchronizationError, match=r"40 of 40 living threads .* PTX line"):
        kernel("", body).launch(grid=1, block=64, args=[])


def test_barriers_of_part_of_a_block_have_numbers():
    body = """
    mov.u32 %r1, %tid.x; shr.u32 %r2, %r1, 6; add.s32 %r3, %r2, 1;
    mov.u32 %r5, buffer; shl.b32 %r6, %r1, 2; add.s32 %r7, %r5, %r6; st.shared.b32 [%r7], %r1;
    setp.ne.u32 %p1, %r2, 0; @%p1 bra OTHER; bar.sync 1, 64; bra READ;
    OTHER: bar.sync 2, 64;
    READ: xor.b32 %r8, %r6, 0x80; add.s32 %r9, %r5, %r8; ld.shared.b32 %r10, [%r9];
    ld.param.u64 %rd1, [p0]; mad.wide.u32 %rd2, %r1, 4, %rd1; st.global.b32 [%rd2], %r10;
    """
    out = np.zeros(128, np.int32)
    kernel("u64", body, SHARED).launch(grid=1, block=128, args=[out])
    assert out.tolist() == [t ^ 32 for t in range(128)]


def test_barriers_reduce():
    body = """
    mov.u32 %r1, %tid.x; setp.gt.u32 %p1, %r1, 50; bar.red.popc.u32 %r2, 0, %p1; bar.red.or.pred %p2, 0, %p1;
    bar.red.and.pred %p3, 0, %p1; selp.b32 %r3, 1000, 0, %p2; selp.b32 %r4, 5000, 0, %p3; add.s32 %r5, %r2, %r3;
    add.s32 %r5, %r5, %r4; ld.param.u64 %rd1, [p0]; mad.wide.u32 %rd2, %r1, 4, %rd1; st.global.b32 [%rd2], %r5;
    """
    out = np.zeros(64, np.int32)
    kernel("u64", body).launch(grid=1, block=64, args=[out])
    assert set(out.tolist()) == {13 + 1000}


def shuffled(mode, lane, b, c):
    segment, clamp = c >> 8 & 31, c & 31
    low = lane & segment
    bound = low | (clamp & ~segment)
    source = {"up": lane - b, "down": lane + b, "bfly": lane ^ b, "idx": low | (b & ~segment)}[mode]
    inside = source >= bound if mode == "up" else source <= bound
    return (source if inside else lane), inside


@given(
    st.sampled_from(["up", "down", "bfly", "idx"]),
    st.lists(st.integers(0, 31), min_size=64, max_size=64),
    st.sampled_from([0x1F, 0x0, 0x181F, 0x1C1F, 0x1800]),
)
def test_shuffles_follow_the_manual(mode, steps, clamp):
    statement = f"shfl.sync.{mode}.b32 %r3|%p1, %r0, %x0, {clamp}, 0xffffffff; selp.b32 %r4, 100, 0, %p1;"
    got = compute(statement + "add.s32 %d, %r3, %r4;", np.int32, np.array(steps, np.int32))
    for thread, value in enumerate(got):
        source, inside = shuffled(mode, thread % 32, steps[thread], clamp)
        assert value == thread // 32 * 32 + source + 100 * inside


def test_a_shuffle_waits_for_lanes_that_come_another_way():
    body = """
    and.b32 %r3, %r0, 1; setp.eq.s32 %p1, %r3, 0; @%p1 bra LATE;
    mov.b32 %r4, 1000; bra MEET;
    LATE: mov.b32 %r4, 2000;
    MEET: add.s32 %r5, %r4, %r0; shfl.sync.bfly.b32 %d, %r5, 1, 0x1f, 0xffffffff;
    """
    got = compute(body, np.int32, np.zeros(64, np.int32))
    assert got.tolist() == [(2000 if t % 2 else 1000) + (t ^ 1) for t in range(64)]


def test_a_shuffle_that_a_member_never_reaches_is_an_error():
    body = (
        "and.b32 %r3, %r0, 1; setp.eq.s32 %p1, %r3, 0; @%p1 bra SPLIT;\n"
        "shfl.sync.bfly.b32 %d, %r0, 1, 0x1f, 0xffffffff; bra END;\n"
        "SPLIT: shfl.sync.bfly.b32 %d, %r0, 2, 0x1f, 0xffffffff;\nEND:"
    )
    with pytest.raises(ptx.SynchronizationError, match=r"wait forever.*shfl\.sync"):
        compute(body, np.int32, np.zeros(64, np.int32))


def test_a_shuffle_of_half_a_warp_needs_only_that_half():
    body = """
    and.b32 %r3, %r0, 31; setp.ge.u32 %p1, %r3, 16; mov.b32 %d, 0; @%p1 bra END;
    shfl.sync.idx.b32 %d, %r0, 3, 0x1f, 0xffff;
    END:
    """
    assert compute(body, np.int32, np.zeros(32, np.int32)).tolist() == [3] * 16 + [0] * 16


def test_votes_masks_and_reductions():
    x = np.random.default_rng(1).integers(-50, 50, 64).astype(np.int32)
    rows = x.reshape(2, 32)
    prepare = "setp.gt.s32 %p1, %x0, 0;"
    ballot = compute(prepare + "vote.sync.ballot.b32 %d, %p1, 0xffffffff;", np.uint32, x)
    words = ((rows > 0).astype(np.uint64) << np.arange(32, dtype=np.uint64)).sum(1)
    assert ballot.reshape(2, 32).tolist() == [[int(w)] * 32 for w in words]
    for mode, outcome in (("any", (rows > 0).any(1)), ("all", (rows > 0).all(1)), ("uni", [False, False])):
        got = compute(prepare + f"vote.sync.{mode}.pred %p2, %p1, 0xffffffff; selp.b32 %d, 1, 0, %p2;", np.int32, x)
        assert got.reshape(2, 32).tolist() == [[int(flag)] * 32 for flag in outcome]
    for mode, outcome in (("add", rows.sum(1)), ("min", rows.min(1)), ("max", rows.max(1))):
        got = compute(f"redux.sync.{mode}.s32 %d, %x0, 0xffffffff;", np.int32, x)
        assert got.reshape(2, 32).tolist() == [[int(value)] * 32 for value in outcome]
    active = compute(prepare + "mov.b32 %d, 0; @!%p1 bra END; activemask.b32 %d; END:", np.uint32, x)
    assert active.tolist() == [int(words[t // 32]) if x[t] > 0 else 0 for t in range(64)]


HANDSHAKE = """
    ld.param.u64 %rd1, [p0]; mov.u32 %r1, %ctaid.x; mov.u32 %r2, %tid.x; setp.ne.u32 %p1, %r2, 0; @%p1 bra WAIT;
    atom.global.add.u32 %r3, [%rd1], 1;
SPIN: ld.volatile.global.u32 %r4, [%rd1]; mov.u32 %r5, %nctaid.x; setp.lt.u32 %p2, %r4, %r5; @%p2 bra SPIN;
WAIT: bar.sync 0;
    mad.lo.s32 %r6, %r1, 64, %r2; mad.wide.u32 %rd2, %r6, 4, %rd1; st.global.u32 [%rd2+4], %r1;
"""


def test_blocks_that_wait_for_each_other_run_at_once():
    memory = np.zeros(1 + 5 * 64, np.uint32)
    module = kernel("u64", HANDSHAKE)
    module.launch(grid=5, block=64, args=[memory], concurrent=True, check_blocks=False, order=3)
    assert memory[0] == 5
    assert memory[1:].reshape(5, 64).tolist() == [[block] * 64 for block in range(5)]
    with pytest.raises(ptx.KernelTrap, match="did not end"):
        module.launch(grid=5, block=64, args=[memory * 0], lanes=64, steps=20_000, check_blocks=False)


def test_trap_is_an_error():
    with pytest.raises(ptx.KernelTrap, match=r"thread \(5, 0, 0\) executed trap"):
        kernel("", "mov.u32 %r1, %tid.x; setp.eq.u32 %p1, %r1, 5; @!%p1 bra END; trap; END:").launch(
            grid=1, block=32, args=[]
        )


def test_grids_and_blocks_have_three_axes():
    out = np.zeros((2, 3, 2, 2, 3, 4), np.int32)
    axes = ["tid.x", "tid.y", "tid.z", "ctaid.x", "ctaid.y", "ctaid.z"]
    sizes = [4, 3, 2, 2, 3, 2]
    text = "mov.b32 %r1, 0; mov.b32 %r2, 0;"
    scale = 1
    for digit, (axis, size) in enumerate(zip(axes, sizes, strict=True)):
        text += f"mov.u32 %r3, %{axis}; mad.lo.s32 %r1, %r3, {scale}, %r1; mad.lo.s32 %r2, %r3, {10**digit}, %r2;"
        scale *= size
    text += "ld.param.u64 %rd1, [p0]; mad.wide.u32 %rd2, %r1, 4, %rd1; st.global.b32 [%rd2], %r2;"
    kernel("u64", text).launch(grid=(2, 3, 2), block=(4, 3, 2), args=[out])
    for place in np.ndindex(out.shape):
        assert out[place] == sum(digit * 10**n for n, digit in enumerate(reversed(place)))
