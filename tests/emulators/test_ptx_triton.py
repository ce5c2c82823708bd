"""The PTX interpreter on what Triton makes of small kernels."""

import numpy as np
import pytest
import torch
import triton
import triton.language as tl

from tests.emulators import ptx
from tests.support.executed_triton import launch_triton


@triton.jit
def add_kernel(x, y, out, count, BLOCK: tl.constexpr):
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = place < count
    tl.store(out + place, tl.load(x + place, inside) + tl.load(y + place, inside), inside)


@triton.jit
def softmax_kernel(x, out, width, stride, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64) * stride
    place = tl.arange(0, BLOCK)
    inside = place < width
    values = tl.load(x + row + place, inside, -float("inf")).to(tl.float32)
    values = tl.exp(values - tl.max(values, 0))
    tl.store(out + row + place, (values / tl.sum(values, 0)).to(out.dtype.element_ty), inside)


@triton.jit
def column_sum_kernel(x, out, rows, columns, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    total = tl.zeros((COLUMNS,), tl.float32)
    for start in range(0, rows, ROWS):
        row = start + tl.arange(0, ROWS)
        inside = (row < rows)[:, None] & (column < columns)[None, :]
        total += tl.sum(tl.load(x + row[:, None] * columns + column[None, :], inside, 0.0).to(tl.float32), 0)
    tl.store(out + column, total, column < columns)


@triton.jit
def product_kernel(a, b, c, M, N, K, TILE: tl.constexpr):
    row = tl.program_id(0) * TILE + tl.arange(0, TILE)
    column = tl.program_id(1) * TILE + tl.arange(0, TILE)
    total = tl.zeros((TILE, TILE), tl.float32)
    for start in range(0, K, TILE):
        inner = start + tl.arange(0, TILE)
        left = tl.load(a + row[:, None] * K + inner[None], (row[:, None] < M) & (inner[None] < K), 0.0)
        right = tl.load(b + inner[:, None] * N + column[None], (inner[:, None] < K) & (column[None] < N), 0.0)
        total = tl.dot(left, right, total)
    inside = (row[:, None] < M) & (column[None] < N)
    tl.store(c + row[:, None] * N + column[None], total.to(c.dtype.element_ty), inside)


def poison(*shape, dtype=torch.float32):
    return torch.full(shape, float("nan"), dtype=dtype)


@pytest.mark.parametrize("count", [1, 1000, 4096])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_masked_addition_writes_what_is_inside(dtype, count):
    x, y, out = torch.randn(4200).to(dtype), torch.randn(4200).to(dtype), poison(4200, dtype=dtype)
    report = launch_triton(
        add_kernel, lambda meta: triton.cdiv(count, meta["BLOCK"]), [x, y, out, count], {"BLOCK": 512}, order=1
    )
    assert torch.equal(out[:count], (x + y)[:count])
    assert out[count:].isnan().all()
    assert report.bytes("st.global") == count * x.element_size()


def test_a_launch_beyond_the_memory_is_a_fault():
    x, out = torch.randn(100), poison(100)
    with pytest.raises(ptx.MemoryFault, match=r"byte 400 of x and y \(400 bytes\), PTX line \d+: @%p1 ld"):
        launch_triton(add_kernel, 1, [x, x, out, 101], {"BLOCK": 128})


@pytest.mark.parametrize(("width", "block", "num_warps"), [(77, 128, 4), (1, 16, 1), (300, 512, 8)])
def test_softmax_of_rows(width, block, num_warps):
    x, out = torch.randn(9, width), poison(9, width)
    report = launch_triton(
        softmax_kernel, 9, dict(x=x, out=out, width=width, stride=width), {"BLOCK": block}, num_warps=num_warps
    )
    torch.testing.assert_close(out, x.double().softmax(1).float(), rtol=1e-6, atol=1e-7)
    assert report.threads("ex2") == 9 * max(block, 32 * num_warps)


def test_approximations_move_results_but_only_a_little():
    x, moved, exact = torch.randn(5, 64), poison(5, 64), poison(5, 64)
    for out, flag in ((moved, False), (exact, True)):
        launch_triton(softmax_kernel, 5, [x, out, 64, 64], {"BLOCK": 64}, exact_approximations=flag)
    assert not torch.equal(moved, exact)
    torch.testing.assert_close(moved, exact, rtol=1e-6, atol=0)


def test_block_order_leaves_every_bit_as_it_is():
    x = torch.randn(50, 130).bfloat16()
    results = []
    for order in (None, 0, 1):
        out = poison(130)
        launch_triton(column_sum_kernel, 5, [x, out, 50, 130], {"ROWS": 16, "COLUMNS": 32}, order=order)
        results.append(out)
    torch.testing.assert_close(results[0], x.double().sum(0).float(), rtol=1e-5, atol=1e-5)
    assert all(torch.equal(results[0], other) for other in results[1:])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32], ids=str)
@pytest.mark.parametrize("num_stages", [1, 3])
def test_products_on_the_tensor_core(dtype, num_stages):
    a, b, c = torch.randn(33, 50).to(dtype), torch.randn(50, 40).to(dtype), poison(33, 40)
    report = launch_triton(product_kernel, (2, 2), [a, b, c, 33, 40, 50], {"TILE": 32}, num_stages=num_stages, order=2)
    tolerance = 2e-2 if dtype == torch.float32 else 1e-4
    torch.testing.assert_close(c, (a.double() @ b.double()).float(), rtol=tolerance, atol=tolerance)
    assert report.warps("mma") > 0


def test_code_for_newer_devices_runs_too():
    x, out = torch.randn(6, 100).bfloat16(), poison(6, 100, dtype=torch.bfloat16)
    for capability in (90, 100):
        launch_triton(softmax_kernel, 6, [x, out, 100, 100], {"BLOCK": 128}, capability=capability)
        torch.testing.assert_close(out.float(), x.float().softmax(1), rtol=2**-8, atol=1e-6)


def test_numpy_arrays_serve_as_well():
    x = np.arange(40, dtype=np.float32)
    out = np.zeros_like(x)
    tensors = [torch.from_numpy(array) for array in (x, x, out)]
    launch_triton(add_kernel, 1, [*tensors, 40], {"BLOCK": 64})
    np.testing.assert_array_equal(out, 2 * x)
