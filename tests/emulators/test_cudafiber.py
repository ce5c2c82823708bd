"""The emulation itself: right where CUDA is right, and an error, with the line, where CUDA's result is undefined."""

from pathlib import Path

import pytest

from tests.emulators.cudafiber import compiler

PROGRAMS = Path(__file__).parent / "programs"
SCHEDULES = ("forward", "reverse", "round_robin", "random:1", "random:2")


def program(name, sanitizer=None):
    flags = ("-O1", *compiler.SANITIZERS.get(sanitizer, compiler.ALIGNMENT))
    return compiler.build([PROGRAMS / f"{name}.cu"], name, flags=flags)


def line_of(text):
    lines = (PROGRAMS / "mistakes.cu").read_text().splitlines()
    return 1 + next(i for i, line in enumerate(lines) if text in line)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_warp_block_and_grid_operations_follow_the_programming_guide(schedule):
    done = compiler.run(program("semantics"), CUDAFIBER_SCHED=schedule)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_correct_kernel_passes_in_every_schedule(schedule):
    assert compiler.run(program("mistakes"), "none", CUDAFIBER_SCHED=schedule).returncode == 0


@pytest.mark.parametrize(
    ("mistake", "message", "text"),
    [
        ("divergent_barrier", "divergent __syncthreads: block(0,0,0) thread(", None),
        ("unreached_barrier", "__syncthreads not reached by all threads", "if (i != 40) __syncthreads();"),
        ("absent_lane", "warp operation not reached by all lanes of its mask", "if (mistake == absent_lane"),
        ("stray_lane", "caller's lane not in its mask", "if (mistake == stray_lane"),
        ("misaligned", "misaligned address, 4 modulo 16", "if (mistake == misaligned"),
        ("grid_alone", "grid barrier without a cooperative launch", "if (mistake == grid_alone"),
    ],
)
def test_what_cuda_leaves_undefined_is_an_error_with_its_line(mistake, message, text):
    done = compiler.run(program("mistakes"), mistake)
    assert done.returncode == 1 and message in done.stdout
    assert text is None or f"mistakes.cu:{line_of(text)}" in done.stdout


def test_some_schedule_gives_a_wrong_result_where_a_barrier_is_missing():
    found = {compiler.run(program("mistakes"), "missing_barrier", CUDAFIBER_SCHED=s).returncode for s in SCHEDULES}
    assert 2 in found


def test_a_barrier_can_be_left_out_by_name():
    skip = f"mistakes.cu:{line_of('} else if (mistake != missing_barrier)') + 1}"
    found = {
        compiler.run(program("mistakes"), "none", CUDAFIBER_SKIP=skip, CUDAFIBER_SCHED=s).returncode for s in SCHEDULES
    }
    assert 2 in found


def test_an_unknown_schedule_is_an_error():
    done = compiler.run(program("mistakes"), "none", CUDAFIBER_SCHED="sideways")
    assert "sideways is none of forward" in done.stdout


@pytest.mark.prove
@pytest.mark.parametrize("sanitizer", ["address", "thread"])
def test_sanitizers_are_silent_on_correct_kernels(sanitizer):
    for schedule in SCHEDULES:
        for name, arguments in (("semantics", ()), ("mistakes", ("none",))):
            done = compiler.run(program(name, sanitizer), *arguments, CUDAFIBER_SCHED=schedule)
            assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.prove
def test_address_sanitizer_names_the_line_of_an_overrun_of_shared_memory():
    done = compiler.run(program("mistakes", "address"), "overrun")
    assert done.returncode and f"mistakes.cu:{line_of('mistake == overrun')}" in done.stderr


@pytest.mark.prove
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_thread_sanitizer_finds_a_missing_barrier_in_every_schedule(schedule):
    done = compiler.run(program("mistakes", "thread"), "missing_barrier", CUDAFIBER_SCHED=schedule)
    assert done.returncode and "data race" in done.stderr
    assert f"mistakes.cu:{line_of('out[i] = shared')}" in done.stderr
