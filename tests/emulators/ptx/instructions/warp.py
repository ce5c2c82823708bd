"""Instructions of a whole warp. The machine runs them once every lane of the member mask has arrived."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.emulators.ptx.binding import Binding, Step
from tests.emulators.ptx.formats import STORAGE, Array
from tests.emulators.ptx.geometry import WARP, Index, as_array
from tests.emulators.ptx.instructions.table import instruction
from tests.emulators.ptx.registers import POISON
from tests.emulators.ptx.syntax import Immediate, Instruction, Pair


@instruction("shfl", modifiers="sync up down bfly idx")
def shuffle(binding: Binding, ins: Instruction) -> Step:
    """`shfl.sync.mode d|p, a, b, c, membermask`. A lane that takes part in nothing hands over poison."""
    mode = ins.one_of("up", "down", "bfly", "idx")
    target = ins.operands[0]
    result, valid = (target.first, target.second) if isinstance(target, Pair) else (target, None)
    output = binding.write(result, "b32")
    flag = binding.write(valid, "pred") if valid is not None else None
    source, lane_operand, clamp_operand = (binding.read(operand, "b32") for operand in ins.operands[1:4])
    lanes = binding.lanes
    fixed = all(isinstance(operand, Immediate) for operand in ins.operands[2:4])
    poison = np.uint32(int(POISON) * 0x10001)

    def partners(all_lanes: Array, b: Array, c: Array) -> tuple[Array, Array]:
        lane = all_lanes & (WARP - 1)
        b, c = b.astype(np.int64) & 31, c.astype(np.int64)
        segment = (c >> 8) & 31
        bound = (lane & segment) | (c & 31 & ~segment)
        other = {
            "up": lane - b,
            "down": lane + b,
            "bfly": lane ^ b,
            "idx": (lane & segment) | (b & ~segment),
        }[mode or "idx"]
        inside = other >= bound if mode == "up" else other <= bound
        return np.where(inside, other, lane) + (all_lanes - lane), inside

    every = np.arange(lanes)
    known = partners(every, lane_operand, clamp_operand) if fixed else None

    def step(index: Index) -> None:
        if known:
            other, inside = known[0][index], known[1][index]
        else:
            other, inside = partners(every[index], lane_operand[index], clamp_operand[index])
        values = source[other]
        if not isinstance(index, slice):
            present = np.zeros(lanes, np.bool_)
            present[index] = True
            values = np.where(present[other], values, poison)
        output[index] = values
        if flag is not None:
            flag[index] = inside

    return step


def _by_warp(flags: Array, index: Index, lanes: int) -> tuple[Array, Array]:
    """Flags of the executing lanes as `[warps, 32]`, false elsewhere, and each executing lane's warp."""
    spread = np.zeros(lanes, np.bool_)
    spread[index] = flags
    return spread.reshape(-1, WARP), as_array(index, lanes) // WARP


def ballot(flags: Array) -> Array:
    """`[warps, 32]` flags to one 32-bit word a warp."""
    return np.packbits(flags, axis=1, bitorder="little").view(np.uint32).reshape(-1)


@instruction("vote", modifiers="sync all any uni ballot")
def vote(binding: Binding, ins: Instruction) -> Step:
    condition = binding.predicate(ins.operands[1])
    lanes = binding.lanes
    mode = ins.one_of("all", "any", "uni", "ballot")
    result = binding.write(ins.operands[0], "b32" if mode == "ballot" else "pred")

    def step(index: Index) -> None:
        flags = condition(index)
        true, warps = _by_warp(flags, index, lanes)
        false, _ = _by_warp(~flags, index, lanes)
        if mode == "ballot":
            result[index] = ballot(true)[warps]
        elif mode == "any":
            result[index] = true.any(axis=1)[warps]
        elif mode == "all":
            result[index] = ~false.any(axis=1)[warps]
        else:
            result[index] = ~(true.any(axis=1) & false.any(axis=1))[warps]

    return step


@instruction("activemask")
def active_mask(binding: Binding, ins: Instruction) -> Step:
    lanes = binding.lanes
    result = binding.write(ins.operands[0], "b32")

    def step(index: Index) -> None:
        active, warps = _by_warp(np.ones(as_array(index, lanes).size, np.bool_), index, lanes)
        result[index] = ballot(active)[warps]

    return step


@instruction("redux", modifiers="sync add min max and or xor NaN")
def reduce(binding: Binding, ins: Instruction) -> Step:
    kind = ins.type
    name = ins.one_of("add", "min", "max", "and", "or", "xor") or ""
    functions: dict[str, np.ufunc] = {
        "add": np.add,
        "min": np.fmin if kind == "f32" and not ins.has("NaN") else np.minimum,
        "max": np.fmax if kind == "f32" and not ins.has("NaN") else np.maximum,
        "and": np.bitwise_and,
        "or": np.bitwise_or,
        "xor": np.bitwise_xor,
    }
    storage = STORAGE[kind]
    neutral: dict[str, Callable[[], object]] = {
        "min": lambda: np.inf if kind == "f32" else np.iinfo(storage).max,
        "max": lambda: -np.inf if kind == "f32" else np.iinfo(storage).min,
        "and": lambda: np.array(-1).astype(storage),
    }
    empty = neutral.get(name, lambda: 0)()
    source, result = binding.read(ins.operands[1], kind), binding.write(ins.operands[0], kind)
    lanes = binding.lanes

    def step(index: Index) -> None:
        values = np.full(lanes, empty, storage)
        values[index] = source[index]
        reduced = functions[name].reduce(values.reshape(-1, WARP), axis=1).astype(storage)
        result[index] = reduced[as_array(index, lanes) // WARP]

    return step


@instruction("bar", "barrier", modifiers="sync warp red popc and or cta aligned", types=(0, 1))
def warp_barrier(binding: Binding, ins: Instruction) -> Step:
    """`bar.warp.sync` and, for `bar.red`, the reduction over a block that the machine asks for after the barrier."""
    if ins.has("warp"):
        return lambda index: None
    if not ins.has("red"):
        return lambda index: None
    name = ins.one_of("popc", "and", "or")
    condition = binding.predicate(ins.operands[-1])
    result = binding.write(ins.operands[0], "u32" if name == "popc" else "pred")
    geometry = binding.geometry

    def step(index: Index) -> None:
        flags = condition(index)
        blocks = geometry.block_position[index]
        true = np.bincount(blocks[flags], minlength=geometry.count)
        false = np.bincount(blocks[~flags], minlength=geometry.count)
        outcome = {"popc": true, "and": false == 0, "or": true > 0}[name or "popc"]
        result[index] = outcome[blocks]

    return step
