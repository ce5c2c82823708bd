"""Tensor core instructions: ldmatrix and mma.sync with float accumulators (layouts of the PTX ISA manual)."""

from __future__ import annotations

import numpy as np

from tests.emulators.ptx.binding import Binding, Step
from tests.emulators.ptx.formats import Array, bfloat16_to_float32
from tests.emulators.ptx.geometry import WARP, Index, as_array
from tests.emulators.ptx.instructions.table import instruction
from tests.emulators.ptx.memory import Memories
from tests.emulators.ptx.syntax import Instruction

_LANE = np.arange(WARP)
_GROUP, _IN_GROUP = _LANE // 4, _LANE % 4


@instruction("ldmatrix", modifiers="sync aligned m8n8 x1 x2 x4 trans shared shared::cta")
def load_matrix(binding: Binding, ins: Instruction) -> Step:
    """Lanes 8i to 8i + 7 give the addresses of the 16-byte rows of matrix i."""
    items = binding.items(ins.operands[0])
    targets = [binding.write(item, "b32") for item in items]
    address = binding.address(ins.operands[1])
    memories: Memories = binding.memories
    transposed = ins.has("trans")
    lanes = binding.lanes
    kind = np.dtype(np.uint16)

    def step(index: Index) -> None:
        chosen = as_array(index, lanes).reshape(-1, WARP)
        addresses = address(index).reshape(-1, WARP)[:, : 8 * len(items)]
        rows = memories.shared.load(addresses.reshape(-1), kind, 8, chosen[:, : 8 * len(items)].reshape(-1), ins)
        matrices = rows.reshape(len(chosen), len(items), 8, 8)
        if transposed:
            matrices = matrices.transpose(0, 1, 3, 2)
        for number, target in enumerate(targets):
            pairs = np.ascontiguousarray(matrices[:, number]).view(np.uint32)
            target[index] = pairs.reshape(-1)

    return step


def _element(kind: str, words: Array) -> Array:
    """`[warps, 32, registers]` words to float64 elements, two a word for 16-bit types."""
    if kind == "tf32":
        # The tensor core reads 19 of the 32 bits.
        return (words & np.uint32(0xFFFFE000)).view(np.float32).astype(np.float64)
    if kind == "bf16":
        return bfloat16_to_float32(np.ascontiguousarray(words).view(np.uint16)).astype(np.float64)
    return np.ascontiguousarray(words).view(np.float16).astype(np.float64)


def _layouts(depth: int, per_word: int) -> tuple[tuple[Array, Array], tuple[Array, Array], tuple[Array, Array]]:
    """(row, column) of every lane's elements of A [16, depth], B [depth, 8] and C [16, 8], as `[32, elements]`."""
    half = 4 * per_word
    elements_a = np.arange(16 * depth // WARP)
    upper_row = elements_a // per_word % 2
    column = _IN_GROUP[:, None] * per_word + elements_a % per_word + elements_a // (2 * per_word) * half
    a = (_GROUP[:, None] + 8 * upper_row, column)
    elements_b = np.arange(8 * depth // WARP)
    row = _IN_GROUP[:, None] * per_word + elements_b % per_word + elements_b // per_word * half
    b = (row, np.broadcast_to(_GROUP[:, None], row.shape))
    elements_c = np.arange(4)
    c = (_GROUP[:, None] + 8 * (elements_c // 2), _IN_GROUP[:, None] * 2 + elements_c % 2)
    return a, b, c


@instruction("mma", modifiers="sync aligned m16n8k4 m16n8k8 m16n8k16 row col", types=(4,))
def multiply_matrices(binding: Binding, ins: Instruction) -> Step:
    """D = A B + C for m16n8; products and sums in float64, one rounding to the accumulator's type."""
    depth = next(int(part[6:]) for part in ins.parts if part.startswith("m16n8k"))
    d_kind, a_kind, b_kind, c_kind = ins.types
    per_word = {"f16": 2, "bf16": 2, "tf32": 1}.get(a_kind, 0)
    if not per_word or a_kind != b_kind or d_kind != c_kind or d_kind not in ("f32", "f16"):
        raise binding.unsupported("types")
    a_layout, b_layout, c_layout = _layouts(depth, per_word)
    a, b, c = ([binding.read(x, "b32") for x in binding.items(operand)] for operand in ins.operands[1:4])
    d = [binding.write(x, "b32") for x in binding.items(ins.operands[0])]
    result_type = np.float32 if d_kind == "f32" else np.float16

    def words(registers: list[Array], index: Index) -> Array:
        return np.stack([register[index].reshape(-1, WARP) for register in registers], axis=2)

    def step(index: Index) -> None:
        left, right = _element(a_kind, words(a, index)), _element(b_kind, words(b, index))
        warps = len(left)
        matrix_a, matrix_b = np.empty((warps, 16, depth)), np.empty((warps, depth, 8))
        matrix_a[:, a_layout[0], a_layout[1]] = left
        matrix_b[:, b_layout[0], b_layout[1]] = right
        product = np.matmul(matrix_a, matrix_b)[:, c_layout[0], c_layout[1]]
        total = (product + words(c, index).view(result_type)).astype(result_type)
        bits = np.ascontiguousarray(total).view(np.uint32)
        for number, target in enumerate(d):
            target[index] = bits[:, :, number].reshape(-1)

    return step
