"""What launch parameters are chosen for, as pure functions of the shape and of the device's multiprocessors."""

import pytest

from seq2seq_fast.triton_kernels import launch

# An RTX 3070, an A10, a T4, an A100, an H100, a B200.
PROCESSORS = (46, 72, 40, 108, 132, 148)
SHAPES = [(1, 1, 1, 1), (3, 71, 77, 51), (64, 50, 512, 1024), (5, 100000, 4000, 3)]


@pytest.mark.parametrize("element_size", [2, 4])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_no_thread_holds_more_of_a_tile_than_its_registers_do(shape, element_size):
    parameters = launch.one_query(*shape, element_size, 132)
    threads = 32 * parameters["num_warps"]
    assert parameters["BLOCK_T"] * parameters["BLOCK_A"] * element_size <= 64 * threads
    assert parameters["BLOCK_T"] * parameters["BLOCK_D"] <= 16 * threads


@pytest.mark.parametrize("processors", PROCESSORS)
def test_a_source_is_one_tile_unless_that_leaves_half_of_the_device_idle(processors):
    def tiles(rows, source):
        return launch.ceil_div(source, launch.one_query(rows, source, 512, 1024, 2, processors)["BLOCK_T"])

    assert all(tiles(rows, 32) == 1 for rows in (1, processors, 10 * processors))
    assert tiles(processors, 50) == tiles(launch.ceil_div(processors, 2), 50) == 1, "two tiles would take no less time"
    assert tiles(processors // 2 - 1, 50) == 2, "both halves of a source at once"


@pytest.mark.parametrize("processors", PROCESSORS)
def test_few_scores_are_shared_out_among_more_programs(processors):
    def parameters(batch):
        return launch.score_tiles(batch, 50, 50, 512, processors)

    few, many = parameters(1), parameters(4 * processors)
    assert few["BLOCK_Q"] * few["BLOCK_K"] == 64 and many["BLOCK_Q"] * many["BLOCK_K"] == 1024
    for batch in range(1, 4 * processors, 7):
        taken = parameters(batch)
        programs = batch * launch.ceil_div(50, taken["BLOCK_Q"]) * launch.ceil_div(50, taken["BLOCK_K"])
        assert taken == few or programs >= 4 * processors


def test_the_sizes_of_batches_choose_among_few_forms():
    def forms(parameters):
        return {
            tuple(sorted(parameters(rows, source).items())) for rows in range(1, 1000, 9) for source in range(1, 99)
        }

    assert len(forms(lambda rows, source: launch.one_query(rows, source, 512, 1024, 2, 132))) == 2
    assert len(forms(lambda rows, source: launch.score_gradient(rows, source, 512, 2, 132)[0])) == 1
    assert len(forms(lambda rows, source: launch.score_tiles(rows, 30, source, 512, 132))) == 3
    assert len(forms(lambda rows, source: launch.softmax_rows(source))) == 2
