"""Ahead-of-time compilation, resources and occupancy."""

from collections import Counter

import pytest
import torch
import triton
import triton.language as tl

from benchmarks.gpu_report.machine_code.devices import LIMITS, RATES, occupancy
from benchmarks.gpu_report.machine_code.kernel import CAPABILITIES
from benchmarks.gpu_report.triton.compile import compile_triton


@triton.jit
def add_kernel(x, y, out, count, BLOCK: tl.constexpr):
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = place < count
    tl.store(out + place, tl.load(x + place, inside) + tl.load(y + place, inside), inside)


@triton.jit
def exponential_sum_kernel(x, out, rows, width: tl.constexpr):
    place = tl.arange(0, width)
    total = tl.zeros((width,), tl.float32)
    for row in range(0, rows):
        total += tl.exp2(tl.load(x + row * width + place)) * 3.0
    tl.store(out + tl.program_id(0) * width + place, total)


@triton.jit
def sum_kernel(x, out, BLOCK: tl.constexpr):
    tl.store(out + tl.program_id(0), tl.sum(tl.load(x + tl.arange(0, BLOCK)), 0))


def meta(*shape, dtype=torch.float32):
    return torch.empty(shape, dtype=dtype, device="meta")


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_a_kernel_compiles_for_every_device_with_no_gpu(capability):
    x = meta(1 << 16)
    kernel = compile_triton(add_kernel, [x, x, x, 1 << 16], {"BLOCK": 1024}, capability=capability, num_warps=4)
    assert kernel.arguments == ("x", "y", "out", "count")
    assert kernel.threads == 128
    assert kernel.resources.registers <= 64
    assert kernel.resources.spill_bytes == kernel.resources.shared_bytes == kernel.code.mix.spills == 0
    # 1024 elements, 128 threads: 8 a thread from each input, 16 bytes at once.
    assert kernel.code.mix.widths("LDG") == Counter({16: 4})
    assert kernel.code.mix.bytes("STG") == 32
    assert kernel.code.mix.fp32 >= 8
    assert kernel.code.loops() == []
    assert kernel.occupancy().fraction == 1


def test_arguments_are_specialised_as_at_a_launch():
    unaligned = torch.empty(33)[1:]
    kernel = compile_triton(add_kernel, [unaligned, unaligned, unaligned, 1], {"BLOCK": 1024}, capability=90)
    assert kernel.arguments == ("x", "y", "out")
    assert kernel.code.mix.widths("LDG") == Counter({4: 16})


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_the_mix_of_a_loop_is_that_of_its_source(capability):
    kernel = compile_triton(
        exponential_sum_kernel, dict(x=meta(64, 512), out=meta(512), rows=64), {"width": 512}, capability=capability
    )
    loops = [loop for loop in kernel.code.loops() if loop.is_innermost and loop.mix.special]
    main = max(loops, key=lambda loop: loop.mix.special)
    # 512 elements, 128 threads: 4 a thread and iteration; the compiler may unroll.
    iterations = main.mix.special // 4
    assert main.mix.count("MUFU.EX2") == 4 * iterations > 0
    assert main.mix.bytes("LDG") == 16 * iterations
    assert main.mix.fp32 >= 4 * iterations
    assert main.start < main.end
    assert main.mix.barriers == main.mix.tensor == 0


def test_spills_are_seen():
    arguments = dict(x=meta(64, 2048), out=meta(2048), rows=64)
    # 64 sums a thread live through the loop.
    roomy = compile_triton(exponential_sum_kernel, arguments, {"width": 2048}, capability=80, num_warps=1)
    tight = compile_triton(exponential_sum_kernel, arguments, {"width": 2048}, capability=80, num_warps=1, maxnreg=32)
    assert roomy.resources.spill_bytes == roomy.code.mix.spills == 0
    assert tight.resources.registers <= 32
    assert tight.resources.spill_bytes > 0
    assert tight.code.mix.spills > 0


def test_shared_memory_counts_what_the_launch_asks_for():
    x = meta(256)
    kernel = compile_triton(sum_kernel, [x, x], {"BLOCK": 256}, capability=90, num_warps=4)
    assert kernel.dynamic_shared_bytes > 0
    assert kernel.resources.shared_bytes == kernel.dynamic_shared_bytes


def test_what_is_no_compilable_function_is_refused():
    with pytest.raises(TypeError, match="TRITON_INTERPRET=1 cannot be compiled"):
        compile_triton(print, [], capability=80)


@pytest.mark.parametrize(
    ("capability", "threads", "registers", "shared", "blocks", "limiter"),
    [
        (80, 256, 32, 0, 8, "warps"),
        (80, 128, 168, 0, 3, "registers"),
        (80, 128, 255, 0, 2, "registers"),
        (80, 128, 32, 40 * 1024, 4, "shared memory"),
        (90, 128, 32, 40 * 1024, 5, "shared memory"),
        (80, 32, 16, 0, 32, "blocks"),
        (120, 32, 16, 0, 24, "blocks"),
        (120, 1024, 32, 0, 1, "warps"),
        (90, 32, 16, 227 * 1024, 1, "shared memory"),
    ],
)
def test_occupancy_is_that_of_the_scarcest_resource(capability, threads, registers, shared, blocks, limiter):
    found = occupancy(capability, threads=threads, registers=registers, shared_bytes=shared)
    assert (found.blocks, found.limiter) == (blocks, limiter)
    assert found.warps == blocks * threads // 32
    assert found.fraction == found.warps / LIMITS[capability].warps


def test_what_does_not_fit_is_an_error():
    with pytest.raises(ValueError, match="a block has 101376 at most"):
        occupancy(120, threads=32, registers=32, shared_bytes=100 * 1024)
    with pytest.raises(ValueError, match="registers a thread"):
        occupancy(80, threads=32, registers=256, shared_bytes=0)
    with pytest.raises(ValueError, match="no block of 1024 threads fits: registers"):
        occupancy(80, threads=1024, registers=128, shared_bytes=0)


def test_rates_give_the_datasheets_teraflops():
    for name, teraflops in (("A100", 19.5), ("H100", 67), ("B200", 75)):
        assert 2 * RATES[name].fp32_per_second / 1e12 == pytest.approx(teraflops, rel=0.02)
        assert RATES[name].special_per_second < RATES[name].fp32_per_second
        assert 4096 < RATES[name].bytes_in_flight < 65536
