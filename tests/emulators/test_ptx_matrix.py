"""ldmatrix and mma.sync of the PTX interpreter: fragments laid out as in the manual multiply as matrices do."""

import numpy as np
import pytest
import torch

from tests.emulators import ptx
from tests.emulators.ptx_text import kernel

LANES = np.arange(32)
GROUP, POSITION = LANES // 4, LANES % 4


def fragments_16(matrix, rows, columns):
    """Two 16-bit neighbours a register: (row, column) of the lower one, for every lane, by register."""
    low, high = matrix[rows, columns], matrix[rows, columns + 1]
    return low.view(np.uint16).astype(np.uint32) | high.view(np.uint16).astype(np.uint32) << 16


def multiply(opcode, a_registers, b_registers, c, result=np.float32):
    """Run one mma on the given registers ([registers, 32] words each)."""
    text = []
    for name, count, pointer in (("a", len(a_registers), 0), ("b", len(b_registers), 1), ("c", len(c), 2)):
        text.append(f".reg .b32 %{name}<{count}>; ld.param.u64 %rd1, [p{pointer}]; mad.wide.u32 %rd1, %r1, 4, %rd1;")
        text += [f"ld.global.b32 %{name}{n}, [%rd1+{128 * n}];" for n in range(count)]
    vectors = [
        "{" + ", ".join(f"%{x}{n}" for n in range(m)) + "}"
        for x, m in (("a", len(a_registers)), ("b", len(b_registers)), ("c", len(c)))
    ]
    text.append(f"{opcode} {vectors[2]}, {vectors[0]}, {vectors[1]}, {vectors[2]};")
    text.append("ld.param.u64 %rd1, [p3]; mad.wide.u32 %rd1, %r1, 4, %rd1;")
    text += [f"st.global.b32 [%rd1+{128 * n}], %c{n};" for n in range(len(c))]
    out = np.zeros((len(c), 32), np.uint32)
    words = [np.ascontiguousarray(x).view(np.uint32) for x in (a_registers, b_registers, c)]
    kernel("u64 u64 u64 u64", "mov.u32 %r1, %tid.x;" + "\n".join(text)).launch(grid=1, block=32, args=[*words, out])
    return out.view(result)


def accumulator(matrix):
    return np.stack([matrix[GROUP + 8 * (n // 2), 2 * POSITION + n % 2] for n in range(4)]).astype(np.float32)


@pytest.mark.parametrize("kind", ["f16", "bf16"])
@pytest.mark.parametrize("depth", [8, 16])
def test_16_bit_products_accumulate_in_float32(kind, depth):
    torch.manual_seed(0)
    dtype = torch.float16 if kind == "f16" else torch.bfloat16
    a, b, c = torch.randn(16, depth).to(dtype), torch.randn(depth, 8).to(dtype), torch.randn(16, 8)
    bits_a, bits_b = (x.view(torch.int16).numpy().view(np.uint16) for x in (a, b))
    column = 2 * POSITION
    places_a = [(GROUP, column), (GROUP + 8, column), (GROUP, column + 8), (GROUP + 8, column + 8)][: depth // 4]
    registers_a = np.stack([fragments_16(bits_a, *place) for place in places_a])
    transposed = np.ascontiguousarray(bits_b.T)
    registers_b = np.stack([fragments_16(transposed, GROUP, column + 8 * n) for n in range(depth // 8)])
    opcode = f"mma.sync.aligned.m16n8k{depth}.row.col.f32.{kind}.{kind}.f32"
    got = multiply(opcode, registers_a, registers_b, accumulator(c.numpy()))
    truth = (a.double() @ b.double() + c.double()).float().numpy()
    np.testing.assert_array_equal(got, accumulator(truth))


def test_float16_accumulators_are_packed():
    torch.manual_seed(0)
    a, b, c = torch.randn(16, 16).half(), torch.randn(16, 8).half(), torch.randn(16, 8).half()
    bits_a, bits_b, bits_c = (x.view(torch.int16).numpy().view(np.uint16) for x in (a, b.T.contiguous(), c))
    column = 2 * POSITION
    places = [(GROUP, column), (GROUP + 8, column), (GROUP, column + 8), (GROUP + 8, column + 8)]
    registers_a = np.stack([fragments_16(bits_a, *place) for place in places])
    registers_b = np.stack([fragments_16(bits_b, GROUP, column + 8 * n) for n in range(2)])
    registers_c = np.stack([fragments_16(bits_c, GROUP + 8 * n, column) for n in range(2)])
    opcode = "mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16"
    got = multiply(opcode, registers_a, registers_b, registers_c, np.uint32)
    truth = (a.double() @ b.double() + c.double()).half().view(torch.int16).numpy().view(np.uint16)
    np.testing.assert_array_equal(got, np.stack([fragments_16(truth, GROUP + 8 * n, column) for n in range(2)]))


def test_tensor_floats_lose_thirteen_bits():
    random = np.random.default_rng(0)
    a, b, c = (random.normal(size=shape).astype(np.float32) for shape in ((16, 8), (8, 8), (16, 8)))
    registers_a = np.stack([a[GROUP + 8 * (n % 2), POSITION + 4 * (n // 2)] for n in range(4)])
    registers_b = np.stack([b[POSITION + 4 * n, GROUP] for n in range(2)])
    got = multiply("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32", registers_a, registers_b, accumulator(c))
    short_a, short_b = ((x.view(np.uint32) & 0xFFFFE000).view(np.float32).astype(np.float64) for x in (a, b))
    np.testing.assert_array_equal(got, accumulator((short_a @ short_b + c).astype(np.float32)))


@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("transposed", [False, True])
def test_ldmatrix_hands_each_lane_its_pair(count, transposed):
    values = np.arange(4 * 64, dtype=np.uint16).reshape(4, 8, 8)
    registers = ", ".join(f"%r{10 + n}" for n in range(count))
    body = f"""
    mov.u32 %r1, %tid.x; ld.param.u64 %rd1, [p0]; mad.wide.u32 %rd2, %r1, 16, %rd1;
    ld.global.v4.b32 {{%r2, %r3, %r4, %r5}}, [%rd2]; mov.u32 %r6, s; mad.lo.s32 %r7, %r1, 16, %r6;
    st.shared.v4.b32 [%r7], {{%r2, %r3, %r4, %r5}}; bar.warp.sync 0xffffffff;
    ldmatrix.sync.aligned.m8n8.x{count}{".trans" if transposed else ""}.shared.b16 {{{registers}}}, [%r7];
    ld.param.u64 %rd1, [p1]; mad.wide.u32 %rd2, %r1, 4, %rd1;
    """
    body += "".join(f"st.global.b32 [%rd2+{128 * n}], %r{10 + n};" for n in range(count))
    out = np.zeros((count, 32), np.uint32)
    module = kernel("u64 u64", body, ".shared .align 16 .b8 s[512];")
    module.launch(grid=1, block=32, args=[values, out])
    for n in range(count):
        matrix = values[n].T if transposed else values[n]
        np.testing.assert_array_equal(out[n], fragments_16(np.ascontiguousarray(matrix), GROUP, 2 * POSITION))


def test_other_shapes_are_refused_by_name():
    with pytest.raises(ptx.UnsupportedInstruction, match=r"m8n8k4.*f64"):
        multiply("mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64", *[np.zeros((2, 32), np.uint32)] * 3)
