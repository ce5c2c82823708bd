"""Whether the decoder's recurrence fits one launch on a device, how it lies there, and what bounds a step.

The weights that multiply the state are spread over the shared memory of all multiprocessors, one block each, and stay
there for the whole sequence (``csrc/cuda/attention_decoder.cu``). Where they do not fit, the decoder runs a few
launches a position. The cycles are an estimate from bytes and operations, to compare phases; no device has confirmed
them.
"""

from __future__ import annotations

from dataclasses import dataclass

from seq2seq_fast.cuda_kernels.prices import (
    GRID_BARRIER,
    L2_BYTES,
    MULTIPLY_ADDS,
    SHARED_BYTES,
    SPECIAL_FUNCTIONS,
    TENSOR_CORE_MULTIPLY_ADDS,
)

THREADS = 512
WARPS = THREADS // 32
PRODUCT_ROWS, PRODUCT_DEPTH, MOST_COLUMNS = 16, 32, 64
GATES = {"rnn": 1, "gru": 3, "lstm": 4}

ROWS_AT_ONCE = 4  # rows of a source for which a warp reads its operands from shared memory once (csrc/cuda/row_sums.h)


@dataclass(frozen=True)
class Device:
    """What a plan needs to know of a device.

    Attributes:
        multiprocessors: how many there are.
        shared_bytes: shared memory that one block can ask for.
        cooperative: whether a grid can have a barrier of its own.
    """

    multiprocessors: int
    shared_bytes: int
    cooperative: bool = True


A100 = Device(108, 163 * 1024)
H100 = Device(132, 227 * 1024)
B200 = Device(148, 227 * 1024)
RTX_3090 = Device(82, 99 * 1024)
RTX_4090 = Device(128, 99 * 1024)


@dataclass(frozen=True)
class DecoderPlan:
    """The decoder on a device.

    Attributes:
        fits: it runs in one launch; otherwise ``reason`` says why not, and it runs a few launches a position.
        blocks: of the launch, one a multiprocessor.
        rows: of the stacked weights [A + G H, H] that a block holds.
        slices: parts of a source's hidden units that different blocks work on.
        keys_resident: each block keeps the keys of its source in shared memory.
        shared_bytes: of a block.
        cycles: of the phases of a step, estimated: the state read by every block, weights read from shared memory, the
            product's arithmetic, keys and values read, queries and v read for them, the scores' arithmetic, the two
            barriers.
        parts: of the product's depth that different blocks take.
    """

    fits: bool
    reason: str
    blocks: int
    rows: int
    slices: int
    keys_resident: bool
    shared_bytes: int
    cycles: dict[str, float]
    parts: int = 1

    @property
    def bound(self) -> str:
        """What the longest part of a step is."""
        return max(self.cycles, key=self.cycles.__getitem__)

    def __str__(self) -> str:
        if not self.fits:
            return f"a few launches a position: {self.reason}"
        keys = "keys in shared memory" if self.keys_resident else "keys from the second cache"
        return (
            f"one launch of {self.blocks} blocks, each {self.rows} rows of the weights and "
            f"{self.shared_bytes} bytes of shared memory, {self.slices} blocks a source, {keys}, "
            f"the product's depth in {self.parts} parts; "
            f"a step is bound by {self.bound}"
        )


def plan_decoder(
    device: Device, *, cell: str, reset_after: bool, batch: int, positions: int, units: int, hidden: int, itemsize: int
) -> DecoderPlan:
    """Plan one launch for sources [B, Tx], attention units A and hidden units H in numbers of ``itemsize`` bytes."""
    gates = GATES[cell]
    stacked = units + gates * hidden
    rows = round_up(ceil_div(stacked, device.multiprocessors), 8)
    slices = max(1, min(device.multiprocessors // max(batch, 1), ceil_div(hidden, 32)))
    items = batch * slices
    needed, keys_resident = 0, False
    for keys_resident in (items <= device.multiprocessors, False):
        needed = shared_bytes(batch, positions, units, hidden, gates, rows, slices, keys_resident, itemsize)
        if needed <= device.shared_bytes:
            break
    reason = why_not(device, cell, reset_after, batch, positions, units, hidden)
    if not reason and needed > device.shared_bytes:
        reason = f"a block needs {needed} bytes of shared memory and gets {device.shared_bytes}"
    cycles = step_cycles(device, batch, positions, units, hidden, gates, rows, slices, keys_resident, itemsize)
    return DecoderPlan(not reason, reason, device.multiprocessors, rows, slices, keys_resident, needed, cycles)


def why_not(device: Device, cell: str, reset_after: bool, batch: int, positions: int, units: int, hidden: int) -> str:
    """Why one launch is out of the question whatever its layout; empty where it is not."""
    if cell == "gru" and not reset_after:
        return "a GRU whose reset gate works before the product has no kernel of its own: it needs two products a step"
    if units % 8 or hidden % 8:
        return f"{units} attention units and {hidden} hidden units are not both multiples of 8"
    if not hidden:
        return "there are no hidden units"
    if not device.cooperative:
        return "the device has no cooperative launch"
    return "" if batch and positions else "there is nothing to attend"


def shared_bytes(
    batch: int, positions: int, units: int, hidden: int, gates: int, rows: int, slices: int, keys_resident: bool,
    itemsize: int,
) -> int:  # fmt: skip
    """Shared memory of a block, as ``csrc/cuda/decoder_layout.h`` lays it out."""
    resident = rows * product_stride(hidden, itemsize) * itemsize + keys_resident * positions * units * itemsize
    slice_units = round_up(ceil_div(hidden, slices), 8)
    vectors = ceil_div(gates * slice_units * itemsize, 16)
    meeting = THREADS * 16 // itemsize if 2 * vectors <= THREADS else 0
    attention = 2 * round_up(units, 4) + round_up(positions, 4) + 4 + meeting + gates * slice_units
    return resident + max(product_bytes(batch, hidden, rows), attention * 4)


def product_bytes(batch: int, depth: int, rows: int) -> int:
    """Shared memory of the warps' sums in a product of [B, depth] with this many rows."""
    at_once = min(ceil_div(batch, PRODUCT_ROWS), WARPS) or 1
    splits = min(WARPS // at_once, ceil_div(depth, PRODUCT_DEPTH))
    return splits * at_once * PRODUCT_ROWS * min(rows, MOST_COLUMNS) * 4


def product_stride(depth: int, itemsize: int) -> int:
    """Elements between rows of an operand in shared memory; see ``csrc/cuda/warp_product.h``."""
    full = round_up(depth, PRODUCT_DEPTH)
    if itemsize == 4:
        return full + 4
    return full + PRODUCT_DEPTH if full % (2 * PRODUCT_DEPTH) == 0 else full


def step_cycles(
    device: Device, batch: int, positions: int, units: int, hidden: int, gates: int, rows: int, slices: int,
    keys_resident: bool, itemsize: int,
) -> dict[str, float]:  # fmt: skip
    """Cycles of the busiest multiprocessor for each part of a step; parts of a phase overlap, phases do not."""
    rounds = ceil_div(batch * slices, device.multiprocessors)
    padded = round_up(batch, PRODUCT_ROWS)
    depth = round_up(hidden, PRODUCT_DEPTH)
    key_bytes = SHARED_BYTES if keys_resident else L2_BYTES
    # Float keys: half a reciprocal a unit. 16-bit keys: an exponential more, and not of the keys alone.
    special = 0.5 if itemsize == 4 else 1.5
    multiply_adds = MULTIPLY_ADDS if itemsize == 4 else TENSOR_CORE_MULTIPLY_ADDS
    return {
        "the state, read by every block": ceil_div(rows, MOST_COLUMNS) * padded * depth * itemsize / L2_BYTES,
        "weights in shared memory": padded / PRODUCT_ROWS * rows * depth * itemsize / SHARED_BYTES,
        "the product's arithmetic": padded * rows * depth / multiply_adds,
        "keys": rounds * positions * units * itemsize / key_bytes,
        "queries and v in shared memory": rounds * operand_cycles(positions, 2 * units, itemsize),
        "the scores' special functions": rounds * positions * units * special / SPECIAL_FUNCTIONS,
        "projected values": rounds * positions * gates * ceil_div(hidden, slices) * itemsize / L2_BYTES,
        "barriers of the grid": 2.0 * GRID_BARRIER,
    }


def operand_cycles(rows: int, numbers: int, itemsize: int) -> float:
    """Cycles in which these floats are read from shared memory for each ROWS_AT_ONCE rows.

    A lane reads as many in a row as 16 bytes of the source hold; where those are eight, two lanes meet in each bank.
    """
    meeting = 2 if itemsize == 2 else 1
    return ceil_div(rows, ROWS_AT_ONCE) * numbers * 4 * meeting / SHARED_BYTES


def ceil_div(a: int, b: int) -> int:
    return -(-a // b)


def round_up(a: int, b: int) -> int:
    return ceil_div(a, b) * b
