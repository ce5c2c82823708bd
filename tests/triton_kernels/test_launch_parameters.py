"""What launch parameters are chosen for, as pure functions of the shape."""

import pytest

from seq2seq_fast.triton_kernels import launch

LARGEST = 148  # multiprocessors


def bytes_ahead(parameters, element_size):
    return parameters["BLOCK_T"] * parameters["BLOCK_A"] * element_size


@pytest.mark.parametrize("element_size", [2, 4])
def test_programs_that_leave_multiprocessors_idle_ask_for_twice_the_bytes_ahead(element_size):
    few, many = (launch.one_query(batch, 16, 512, 1024, element_size) for batch in (64, LARGEST))
    assert few["BLOCK_T"] == many["BLOCK_T"] == 16, "one tile a source: nothing to combine"
    assert bytes_ahead(few, element_size) == 2 * bytes_ahead(many, element_size)
    assert few["num_warps"] == 2 * many["num_warps"] and few["BLOCK_D"] == 2 * many["BLOCK_D"]


def test_keys_of_sixteen_bits_then_have_as_many_bytes_ahead_as_those_of_32():
    narrow, wide = (launch.one_query(64, 16, 4096, 4096, element_size) for element_size in (2, 4))
    assert bytes_ahead(narrow, 2) == bytes_ahead(wide, 4)
    assert narrow["num_warps"] == wide["num_warps"] and narrow["BLOCK_D"] == wide["BLOCK_D"]


@pytest.mark.parametrize("sizes", [(1000, 1024), (512, 1000)])
def test_rows_that_no_wide_loads_fit_keep_small_tiles(sizes):
    assert launch.one_query(64, 50, *sizes, 2) == launch.one_query(LARGEST, 50, *sizes, 2)


@pytest.mark.parametrize("element_size", [2, 4])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (3, 71, 77, 51), (64, 50, 512, 1024), (5, 100000, 4000, 3)], ids=str)
def test_no_thread_holds_more_of_a_tile_than_its_registers_do(shape, element_size):
    parameters = launch.one_query(*shape, element_size)
    threads = 32 * parameters["num_warps"]
    assert bytes_ahead(parameters, element_size) <= 64 * threads
    assert parameters["BLOCK_T"] * parameters["BLOCK_D"] <= 16 * threads
