"""Memory of the PTX interpreter: bounds, poison, views, spaces, asynchronous copies, atomics, traffic."""

import numpy as np
import pytest
import torch

from tests.emulators import ptx
from tests.emulators.ptx_text import compute, kernel

COPY = """
    mov.u32 %r1, %tid.x; mov.u32 %r2, %ctaid.x; mov.u32 %r3, %ntid.x; mad.lo.s32 %r4, %r2, %r3, %r1;
    ld.param.u64 %rd1, [p0]; mad.wide.u32 %rd1, %r4, 4, %rd1; ld.global.b32 %r5, [%rd1];
    ld.param.u64 %rd2, [p1]; mad.wide.u32 %rd2, %r4, 4, %rd2; st.global.b32 [%rd2], %r5;
"""


def copy(source, target, blocks=1, **options):
    return kernel("u64 u64", COPY).launch(grid=blocks, block=32, args=[source, target], **options)


def test_loads_outside_an_array_name_address_thread_and_line():
    source, target = np.arange(31, dtype=np.float32), np.zeros(32, np.float32)
    message = (
        r"block 0, thread \(31, 0, 0\): 4 bytes out of bounds at 0x[0-9a-f]+, byte 124 of argument 0 \(124 bytes\)"
    )
    with pytest.raises(ptx.MemoryFault, match=message + r", PTX line \d+: ld\.global\.b32"):
        copy(source, target)


def test_stores_outside_an_array_and_before_it_are_faults():
    memory = np.zeros(64, np.float32)
    with pytest.raises(ptx.MemoryFault, match=r"byte 124 of argument 1.*st\.global"):
        copy(memory[:32].copy(), np.zeros(31, np.float32))
    text = "ld.param.u64 %rd1, [p0]; ld.global.b32 %r1, [%rd1+-4];"
    with pytest.raises(ptx.MemoryFault, match="4 bytes before argument 0"):
        kernel("u64", text).launch(grid=1, block=1, args=[memory])


def test_null_and_empty_arrays_cannot_be_read():
    text = "ld.param.u64 %rd1, [p0]; ld.global.b32 %r1, [%rd1];"
    for nothing in (None, np.zeros(0, np.float32), torch.empty(0)):
        with pytest.raises(ptx.MemoryFault, match="out of bounds"):
            kernel("u64", text).launch(grid=1, block=1, args=[nothing])


def test_misaligned_vectors_are_faults():
    text = "ld.param.u64 %rd1, [p0]; ld.global.v4.b32 {%r1, %r2, %r3, %r4}, [%rd1+8];"
    with pytest.raises(ptx.MemoryFault, match=r"misaligned 16-byte access.*ld\.global\.v4"):
        kernel("u64", text).launch(grid=1, block=1, args=[torch.zeros(64)])


def test_read_only_arrays_cannot_be_written():
    target = np.zeros(32, np.float32)
    target.flags.writeable = False
    with pytest.raises(ptx.MemoryFault, match=r"read-only memory \(argument 1\)"):
        copy(np.ones(32, np.float32), target)


def test_overlapping_views_share_memory_and_strided_ones_keep_their_gaps():
    memory = torch.arange(64.0)
    copy(memory[:32], memory[32:])
    assert memory.tolist() == [*range(32), *range(32)]
    wide = torch.arange(64.0).reshape(32, 2)
    text = COPY.replace("mad.wide.u32 %rd1, %r4, 4", "mad.wide.u32 %rd1, %r4, 8")
    target = torch.zeros(32)
    kernel("u64 u64", text).launch(grid=1, block=32, args=[wide[:, 1], target])
    assert torch.equal(target, wide[:, 1])


def test_bfloat16_tensors_are_written_in_place():
    source, target = torch.randn(64).bfloat16(), torch.zeros(64).bfloat16()
    copy(source, target)
    assert torch.equal(source, target)


def test_uninitialised_registers_and_shared_memory_are_nan():
    x = np.zeros(40, np.float32)
    assert np.isnan(compute("mov.b32 %d, %r9;", np.float32, x)).all()
    shared = ".shared .align 16 .b8 s[64]; ld.shared.f32 %f1, [s+8]; add.f32 %d, %f1, %f1;"
    assert np.isnan(compute(shared, np.float32, x)).all()
    local = ".local .align 4 .b8 mine[16]; mov.u64 %rd3, mine; ld.local.f32 %d, [%rd3+4];"
    assert np.isnan(compute(local, np.float32, x)).all()


def test_poison_comes_back_for_every_batch_of_blocks():
    body = """
    ld.shared.f32 %f1, [s]; mov.f32 %f2, 0f3F800000; bar.sync 0; st.shared.f32 [s], %f2;
    mov.u32 %r1, %ctaid.x; ld.param.u64 %rd1, [p0]; mad.wide.u32 %rd1, %r1, 4, %rd1; st.global.f32 [%rd1], %f1;
    """
    out = np.zeros(9, np.float32)
    kernel("u64", body, ".shared .align 4 .b8 s[4];").launch(grid=9, block=32, args=[out], lanes=64)
    assert np.isnan(out).all()


def test_shared_memory_has_bounds():
    with pytest.raises(ptx.MemoryFault, match=r"shared address 0x40.*outside the 64 bytes"):
        compute(".shared .align 4 .b8 s[64]; ld.shared.f32 %d, [s+64];", np.float32, np.zeros(1))


def test_dynamic_shared_memory_follows_static():
    body = """
    mov.u32 %r1, %tid.x; mov.u32 %r2, big; shl.b32 %r3, %r1, 2; add.s32 %r2, %r2, %r3; st.shared.b32 [%r2], %r1;
    mov.b32 %r4, 77; st.shared.b32 [small], %r4; bar.sync 0; ld.shared.b32 %r5, [small]; ld.shared.b32 %r6, [%r2];
    add.s32 %r7, %r5, %r6; ld.param.u64 %rd1, [p0]; mad.wide.u32 %rd1, %r1, 4, %rd1; st.global.b32 [%rd1], %r7;
    """
    variables = ".shared .align 4 .b8 small[4]; .extern .shared .align 16 .b8 big[];"
    out = np.zeros(32, np.int32)
    module = kernel("u64", body, variables)
    module.launch(grid=1, block=32, args=[out], shared=128)
    assert out.tolist() == [77 + t for t in range(32)]
    with pytest.raises(ptx.MemoryFault, match="outside the 140 bytes"):
        module.launch(grid=1, block=32, args=[out], shared=124)


def test_local_memory_is_each_threads_own_and_generic_addresses_reach_it():
    statements = """
    .local .align 8 .b8 mine[16]; .shared .align 8 .b8 s[8];
    mov.u64 %rd3, mine; cvta.local.u64 %rd4, %rd3; st.b32 [%rd4+8], %x0; ld.local.b32 %r3, [%rd3+8];
    mov.u64 %rd5, s; cvta.shared.u64 %rd6, %rd5; mov.b32 %r4, 5; st.b32 [%rd6+4], %r4; ld.shared.b32 %r5, [s+4];
    cvta.to.shared.u64 %rd7, %rd6; ld.shared.b32 %r6, [%rd7+4];
    isspacep.shared %p1, %rd6; selp.b32 %r7, 1000, 0, %p1;
    add.s32 %r8, %r3, %r5; add.s32 %r8, %r8, %r6; add.s32 %d, %r8, %r7;
    """
    x = np.arange(50, dtype=np.int32)
    assert compute(statements, np.int32, x, check_races=False).tolist() == [t + 1010 for t in range(50)]


def test_constants_and_globals_of_the_module_are_initialised():
    variables = """
    .const .align 4 .b8 table[8] = {1, 0, 0, 0, 2, 1, 0, 0};
    .global .align 4 .u32 more[3] = {7, 0x10, -1};
    """
    body = """
    ld.const.u32 %r1, [table+4]; mov.u64 %rd2, more; ld.global.u32 %r2, [%rd2+4]; ld.global.u32 %r3, [more+8];
    ld.param.u64 %rd1, [p0]; st.global.v4.u32 [%rd1], {%r1, %r2, %r3, %r3};
    """
    out = np.zeros(4, np.uint32)
    kernel("u64", body, variables).launch(grid=1, block=1, args=[out])
    assert out.tolist() == [258, 16, 2**32 - 1, 2**32 - 1]


def test_parameters_take_scalars_structs_and_pointers_in_structs():
    text = """.version 8.8
    .target sm_80
    .address_size 64
    .visible .entry k(.param .align 8 .b8 s[24], .param .f32 f, .param .u16 h, .param .f64 d) {
    .reg .b32 %r<9>; .reg .b64 %rd<9>; .reg .f32 %f<9>; .reg .b16 %h<3>; .reg .f64 %d<3>;
    ld.param.u64 %rd1, [s]; ld.param.u32 %r1, [s+8]; ld.param.v2.f32 {%f1, %f2}, [s+16]; ld.param.f32 %f3, [f];
    ld.param.u16 %h1, [h]; ld.param.f64 %d1, [d]; cvt.rn.f32.f64 %f4, %d1; cvt.rn.f32.u16 %f5, %h1;
    cvt.rn.f32.s32 %f6, %r1; st.global.v4.f32 [%rd1], {%f1, %f2, %f3, %f4}; st.global.v2.f32 [%rd1+16], {%f5, %f6};
    ret; }"""
    out = np.zeros(6, np.float32)
    struct = ptx.Struct("Pi4x2f", out, -3, 1.5, 2.5)
    ptx.load(text).launch(grid=1, block=1, args=[struct, 0.25, 9, 1e3])
    assert out.tolist() == [1.5, 2.5, 0.25, 1000, 9, -3]
    with pytest.raises(ptx.PtxError, match="takes 4 arguments, not 1"):
        ptx.load(text).launch(grid=1, block=1, args=[out])


ASYNC = """
    mov.u32 %r1, %tid.x; ld.param.u64 %rd1, [p0]; mad.wide.u32 %rd2, %r1, 16, %rd1; ld.param.u32 %r9, [p2];
    mov.u32 %r2, s; mad.lo.s32 %r3, %r1, 16, %r2;
    cp.async.cg.shared.global [%r3], [%rd2], 16, %r9; cp.async.commit_group;
    cp.async.ca.shared.global [%r3+1024], [%rd2], 8; cp.async.commit_group;
    WAIT
    xor.b32 %r4, %r1, 32; mad.lo.s32 %r5, %r4, 16, %r2; ld.shared.f32 %f1, [%r5+4]; ld.shared.f32 %f2, [%r5+1028];
    ld.param.u64 %rd3, [p1]; mad.wide.u32 %rd4, %r1, 8, %rd3; st.global.v2.f32 [%rd4], {%f1, %f2};
"""


def asynchronous(wait, size=16):
    x = np.arange(256, dtype=np.float32).reshape(64, 4)
    out = np.zeros((64, 2), np.float32)
    module = kernel("u64 u64 u32", ASYNC.replace("WAIT", wait), ".shared .align 16 .b8 s[2048];")
    report = module.launch(grid=1, block=64, args=[x, out, size])
    return out, x[[t ^ 32 for t in range(64)], 1], report


def test_asynchronous_copies_arrive_when_waited_for():
    out, expected, report = asynchronous("cp.async.wait_group 0; bar.sync 0;")
    np.testing.assert_array_equal(out, np.stack((expected, expected), 1))
    assert report.bytes("cp.async") == 64 * (16 + 8)
    out, expected, _ = asynchronous("cp.async.wait_group 1; bar.sync 0;")
    np.testing.assert_array_equal(out[:, 0], expected)
    assert np.isnan(out[:, 1]).all()


def test_asynchronous_copies_of_no_bytes_fill_with_zeros():
    out, expected, _ = asynchronous("cp.async.wait_all; bar.sync 0;", size=0)
    np.testing.assert_array_equal(out, np.stack((0 * expected, expected), 1))
    out, _, _ = asynchronous("cp.async.wait_all; bar.sync 0;", size=4)
    assert (out[:, 0] == 0).all()


def test_asynchronous_copies_of_another_warp_need_a_barrier_too():
    with pytest.raises(ptx.SharedMemoryRace, match="reads what another warp wrote"):
        asynchronous("cp.async.wait_all;")


def test_blocks_that_touch_the_same_memory_are_reported():
    text = COPY.replace("mad.lo.s32 %r4, %r2, %r3, %r1", "mov.u32 %r4, %r1").replace(
        "st.global.b32 [%rd2], %r5", "st.global.b32 [%rd2], %r2"
    )
    module = kernel("u64 u64", text)
    arrays = [np.zeros(32, np.int32), np.full(32, -1, np.int32)]
    with pytest.raises(ptx.MemoryFault, match=r"stores another value|overwrites what another block uses"):
        module.launch(grid=2, block=32, args=arrays)
    with pytest.raises(ptx.MemoryFault, match="overwrites what another block uses"):
        module.launch(grid=2, block=32, args=arrays, lanes=32)
    module.launch(grid=2, block=32, args=arrays, check_blocks=False)
    memory = np.arange(96, dtype=np.int32)
    with pytest.raises(ptx.MemoryFault, match="another block"):
        copy(memory[:64], memory[32:], blocks=2)


def test_atomics_return_what_they_found():
    body = """
    mov.u32 %r1, %tid.x; ld.param.u64 %rd1, [p0]; atom.global.add.u32 %r2, [%rd1], 3;
    ld.param.u64 %rd2, [p1]; mad.wide.u32 %rd3, %r1, 4, %rd2; st.global.u32 [%rd3], %r2;
    mov.f32 %f1, 0f3FC00000; red.global.add.f32 [%rd1+4], %f1; atom.global.cas.b32 %r4, [%rd1+8], %r1, 50;
    red.global.max.s32 [%rd1+12], %r1;
    """
    memory = np.zeros(4, np.uint32)
    found = np.zeros(64, np.uint32)
    kernel("u64 u64", body).launch(grid=1, block=64, args=[memory, found])
    assert found.tolist() == [3 * t for t in range(64)]
    assert memory[0] == 192
    assert memory[1:2].view(np.float32)[0] == 96
    assert memory[2] == 50
    assert memory[3] == 63


def test_traffic_counts_sectors_of_warps_and_distinct_bytes():
    source, target = np.arange(128, dtype=np.float32), np.zeros(128, np.float32)
    report = copy(source, target, blocks=4, traffic=True)
    assert (report.traffic.sectors_loaded, report.traffic.sectors_stored) == (16, 16)
    assert (report.traffic.bytes_loaded, report.traffic.bytes_stored) == (512, 512)
    strided = kernel("u64 u64", COPY.replace("mad.wide.u32 %rd1, %r4, 4", "mad.wide.u32 %rd1, %r4, 32"))
    report = strided.launch(grid=1, block=32, args=[np.zeros(256, np.float32), target], traffic=True)
    assert (report.traffic.sectors_loaded, report.traffic.bytes_loaded) == (32, 128)


def test_narrow_loads_extend_by_their_type():
    x = np.array([[-1, 5, -128, 127]] * 3, np.int8)
    text = "ld.global.s8 %r3, [%rd1]; ld.global.u8 %r4, [%rd1+2]; mad.lo.s32 %d, %r3, 1000, %r4;"
    assert compute(text, np.int32, x.view(np.int32).reshape(-1)).tolist() == [-1000 + 128] * 3
