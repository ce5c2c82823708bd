"""How many instructions of each kind the generated code of the cells' and the combining kernels executes, exactly.

These kernels have no loop over units: what a launch executes in all is units times what one costs, by the formulas of
:mod:`tests.triton_kernels.cell_counts`, and what a program does once.
"""

import pytest
import torch

from seq2seq_fast.triton_kernels import launch
from seq2seq_fast.triton_kernels.combine import Tiles, combine_tiles
from tests.support.engines import dtype_name
from tests.triton_kernels.cell_counts import ADD, CELLS, DECODERS, FUSED, Cost, Tensors
from tests.triton_kernels.counting import Mix, found, mix
from tests.triton_kernels.launches import executed

pytestmark = pytest.mark.usefixtures("generated_code_serves_cpu_tensors")
# The last program of a row computes for more units than there are, but reads and writes for none of them.
ROWS, HIDDEN = 2, 784
# Most lanes of a warp hold one number of each sum over tiles.
LANES = 32
# Of which the quick tests take the two that most steps of a training launch.
QUICK = ("gru_cell._gates_kernel", "gru_cell._gates_backward_kernel")
CASES = [pytest.param(name, marks=() if name in QUICK else pytest.mark.prove) for name in (*CELLS, *DECODERS)]


def softmax_of_tiles(tiles: int) -> Mix:
    """For a thread: the maximum and the sum over the row's tiles, lane by lane and then among lanes; the inverse."""
    turns = launch.ceil_div(tiles, LANES)
    among_lanes = mix(sums=5, shuffles=10)
    return mix(special=1, fused=1, products=1, sums=1).times(turns) + among_lanes + mix(divisions=1)


# e^(maximum - shift) over the sum, for a thread and a tile; e^x is 2^(log2(e) x).
SCALE = mix(special=1, products=2, sums=1)
# shift + log(total), the logarithm by a polynomial in steps of another opcode.
LOGSUMEXP = mix(products=2, sums=1) + ADD


def expected(cost: Cost, t: Tensors) -> dict[str, int]:
    parameters = launch.cell(t.hidden)
    programs = t.rows * launch.ceil_div(t.hidden, parameters["BLOCK"])
    warps = parameters["num_warps"]
    counts = cost.executes.times(programs * parameters["BLOCK"])
    size = t.dtype.itemsize
    if size == 2:
        counts["products"] -= cost.narrow * programs * parameters["BLOCK"]
    numbers_read = cost.read[1]
    if t.tiles and cost.gates:
        numbers_read += cost.gates * (t.tiles - 1)
        counts += FUSED.times(cost.gates * t.tiles * programs * parameters["BLOCK"])
        of_thread = softmax_of_tiles(t.tiles) + SCALE.times(cost.gates * t.tiles) + LOGSUMEXP
        counts += of_thread.times(programs * 32 * warps)
        counts["read"] += programs * warps * t.tiles * (3 + 32 * cost.gates) * 4
        counts["written"] += t.rows * 4
    units = t.rows * t.hidden
    counts["read"] += units * (cost.read[0] * size + numbers_read * 4)
    counts["written"] += units * (cost.written[0] * size + cost.written[1] * 4)
    return dict(+counts)


def assert_counts(name: str, tensors: Tensors) -> None:
    cost = (CELLS | DECODERS)[name]
    with executed() as done:
        cost.run(tensors)
    ((launched, report),) = done.launches
    assert launched.name == name.split()[0]
    assert found(report) == expected(cost, tensors)


@pytest.mark.parametrize("name", CASES)
def test_a_unit_of_a_cell(name):
    assert_counts(name, Tensors(ROWS, HIDDEN, torch.float32))


@pytest.mark.prove
@pytest.mark.parametrize("name", [*CELLS, *DECODERS])
def test_a_unit_of_sixteen_bits(name):
    assert_counts(name, Tensors(ROWS, HIDDEN, torch.bfloat16))


@pytest.mark.prove
@pytest.mark.parametrize("name", [name for name, cost in DECODERS.items() if cost.gates])
@pytest.mark.parametrize("tiles", [2, 35])
def test_a_unit_whose_context_lies_in_tiles(name, tiles):
    assert_counts(name, Tensors(ROWS, HIDDEN, torch.float32, tiles))


@pytest.mark.prove
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=dtype_name)
@pytest.mark.parametrize(("tiles", "size", "positions"), [(2, 256, 512), (35, 784, 256)])
def test_combining(dtype, tiles, size, positions):
    parts = Tiles(
        torch.randn(ROWS, tiles, size), None, torch.randn(ROWS, tiles), 1 + torch.rand(ROWS, tiles)
    )  # fmt: skip
    with executed() as done:
        combine_tiles(
            parts, torch.empty(ROWS, size, dtype=dtype), torch.randn(ROWS, positions), torch.empty(ROWS), positions
        )()
    ((launched, report),) = done.launches
    parameters = launch.combine(positions, size)
    block, threads = parameters["BLOCK"], 32 * parameters["num_warps"]
    programs = ROWS * launch.ceil_div(max(size, positions), block)
    of_context = ROWS * launch.ceil_div(size, block)
    # A weight is e^(score - shift) over the sum.
    counts = (softmax_of_tiles(tiles) + LOGSUMEXP).times(programs * threads) + SCALE.times(programs * block)
    counts += SCALE.times(tiles * of_context * threads) + FUSED.times(tiles * of_context * block)
    counts["read"] = 4 * (3 * tiles * programs * parameters["num_warps"] + tiles * of_context * threads)
    counts["read"] += 4 * ROWS * (tiles * size + positions)
    counts["written"] = ROWS * (size * dtype.itemsize + 4 * positions + 4)
    assert launched.name == "combine._combine_kernel"
    assert found(report) == dict(+counts)
