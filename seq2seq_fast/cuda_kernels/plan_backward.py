"""Whether the decoder's reversed recurrence fits one launch on a device, how it lies there, and what bounds a step.

Its product has a depth of A + G H and only H outputs: a block holds some outputs over a part of the depth, so that no
block reads all gradients (``csrc/cuda/attention_decoder_backward.cu``), and the next step adds the parts.
"""

from __future__ import annotations

from seq2seq_fast.cuda_kernels.plan import (
    GATES,
    MOST_COLUMNS,
    PRODUCT_DEPTH,
    PRODUCT_ROWS,
    THREADS,
    DecoderPlan,
    Device,
    ceil_div,
    operand_cycles,
    product_bytes,
    product_stride,
    round_up,
    why_not,
)
from seq2seq_fast.cuda_kernels.prices import (
    GRID_BARRIER,
    L2_BYTES,
    MULTIPLY_ADDS,
    SHARED_BYTES,
    SPECIAL_FUNCTIONS,
    TENSOR_CORE_MULTIPLY_ADDS,
)


def plan_decoder_backward(
    device: Device, *, cell: str, reset_after: bool, batch: int, positions: int, units: int, hidden: int, itemsize: int
) -> DecoderPlan:
    """Plan one launch as :func:`~seq2seq_fast.cuda_kernels.plan.plan_decoder` does; ``parts`` says how deep blocks go.

    Of the parts that fit, those that move the fewest bytes through the second cache.
    """
    gates = GATES[cell]
    sizes = (batch, positions, units, hidden, gates)
    layouts, least = [], 0
    for parts in range(1, min(device.multiprocessors, ceil_div(units + gates * hidden, PRODUCT_DEPTH)) + 1):
        rows = round_up(ceil_div(hidden, device.multiprocessors // parts), 8)
        for keys_resident in (batch <= device.multiprocessors, False):
            needed = backward_shared_bytes(*sizes, rows, parts, keys_resident, itemsize)
            least = min(least or needed, needed)
            if needed <= device.shared_bytes:
                cycles = backward_cycles(device, *sizes, rows, parts, keys_resident, itemsize)
                moved = sum(cycles[name] for name in MOVED)
                layouts.append((moved, rows, parts, keys_resident, needed, cycles))
                break
    reason = why_not(device, cell, reset_after, batch, positions, units, hidden)
    if not reason and not layouts:
        reason = f"a block needs {least} bytes of shared memory and gets {device.shared_bytes}"
    if not layouts:
        return DecoderPlan(False, reason, device.multiprocessors, 0, 1, False, least, {})
    _, rows, parts, keys_resident, needed, cycles = min(layouts, key=lambda layout: layout[:3])
    return DecoderPlan(not reason, reason, device.multiprocessors, rows, 1, keys_resident, needed, cycles, parts)


def part_depth(units: int, hidden: int, gates: int, parts: int) -> int:
    """Depth of the product that one block takes."""
    return round_up(ceil_div(units + gates * hidden, parts), PRODUCT_DEPTH)


def backward_shared_bytes(
    batch: int, positions: int, units: int, hidden: int, gates: int, rows: int, parts: int, keys_resident: bool,
    itemsize: int,
) -> int:  # fmt: skip
    """Shared memory of a block, as ``csrc/cuda/decoder_reversed.h`` lays it out."""
    depth = part_depth(units, hidden, gates, parts)
    resident = rows * product_stride(depth, itemsize) * itemsize + keys_resident * positions * units * itemsize
    meeting = THREADS * 16 // itemsize if 2 * ceil_div(units * itemsize, 16) <= THREADS else 0
    attention = 2 * round_up(units, 4) + round_up(positions, 4) + gates * hidden + meeting
    return resident + max(product_bytes(batch, depth, rows), attention * 4)


GRADIENTS, PARTS, KEYS = "gradients of queries and gates", "parts of the state's gradient", "keys"
MOVED = (GRADIENTS, PARTS, KEYS)


def backward_cycles(
    device: Device, batch: int, positions: int, units: int, hidden: int, gates: int, rows: int, parts: int,
    keys_resident: bool, itemsize: int,
) -> dict[str, float]:  # fmt: skip
    """Cycles of the busiest multiprocessor for each part of a step; parts of a phase overlap, phases do not."""
    rounds = ceil_div(batch, device.multiprocessors)
    padded = round_up(batch, PRODUCT_ROWS)
    depth = part_depth(units, hidden, gates, parts)
    multiply_adds = MULTIPLY_ADDS if itemsize == 4 else TENSOR_CORE_MULTIPLY_ADDS
    return {
        GRADIENTS: ceil_div(rows, MOST_COLUMNS) * padded * depth * itemsize / L2_BYTES,
        PARTS: (batch * rows + rounds * parts * hidden) * 4 / L2_BYTES,
        "weights in shared memory": padded / PRODUCT_ROWS * rows * depth * itemsize / SHARED_BYTES,
        "the product's arithmetic": padded * rows * depth / multiply_adds,
        KEYS: rounds * positions * units * itemsize / (SHARED_BYTES if keys_resident else L2_BYTES),
        "gradients of gates in shared memory": rounds * operand_cycles(positions, gates * hidden, itemsize),
        # An exponential and half a reciprocal a unit.
        "the scores' special functions": rounds * positions * units * 1.5 / SPECIAL_FUNCTIONS,
        "projected values": rounds * positions * gates * hidden * itemsize / L2_BYTES,
        "barriers of the grid": 2.0 * GRID_BARRIER,
    }
