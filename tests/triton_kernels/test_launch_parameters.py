"""What launch parameters are chosen for, as pure functions of the shape."""

import pytest

from seq2seq_fast.triton_kernels import launch

LARGEST = 148  # multiprocessors


def bytes_ahead(parameters, element_size):
    return parameters["BLOCK_T"] * parameters["BLOCK_A"] * element_size


@pytest.mark.parametrize("batch", [64, 256, 1000])
def test_keys_of_sixteen_bits_are_asked_for_as_many_bytes_ahead_as_those_of_32(batch):
    parameters = {size: launch.one_query(batch, 60, 512, 1024, size) for size in (2, 4)}
    assert bytes_ahead(parameters[2], 2) >= bytes_ahead(parameters[4], 4)


def test_a_launch_that_leaves_multiprocessors_idle_has_programs_of_twice_the_size():
    few, many = (launch.one_query(batch, 50, 512, 1024, 2) for batch in (64, LARGEST))
    assert few["BLOCK_T"] == many["BLOCK_T"] == 64, "one tile a source: nothing to combine"
    for name in ("BLOCK_A", "BLOCK_D", "num_warps"):
        assert few[name] == 2 * many[name]


@pytest.mark.parametrize("element_size", [2, 4])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (3, 71, 77, 51), (64, 50, 512, 1024), (5, 100000, 4000, 3)], ids=str)
def test_no_thread_holds_more_of_a_tile_than_its_registers_do(shape, element_size):
    parameters = launch.one_query(*shape, element_size)
    threads = 32 * parameters["num_warps"]
    assert bytes_ahead(parameters, element_size) <= 64 * max(threads, 32)
    assert parameters["BLOCK_T"] * parameters["BLOCK_D"] <= 16 * max(threads, 32)
