"""The kernels under sanitizers, and proof that a missing barrier would be noticed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cudafiber import compiler
from tests.support.cudafiber.emulated import SOURCES, build_module

RUNTIME = {"address": "libasan.so", "thread": "libtsan.so"}
BARRIER = re.compile(r"__syncthreads(_and|_or|_count)?\(|__syncwarp\(|\.sync\(\)")


def exercise(sanitizer, **environment):
    """Run tests.cuda_kernels.exercise with a sanitizer's runtime loaded before Python's own libraries."""
    library = subprocess.run(
        [compiler.compiler(), f"-print-file-name={RUNTIME[sanitizer]}"], capture_output=True, text=True, check=True
    ).stdout.strip()
    module = build_module(*compiler.SANITIZERS[sanitizer])
    return compiler.run(
        Path(sys.executable), "-m", "tests.cuda_kernels.exercise", LD_PRELOAD=library, CUDAFIBER_MODULE=str(module),
        OMP_NUM_THREADS="1", TSAN_OPTIONS="halt_on_error=1:report_signal_unsafe=0", **environment,
    )  # fmt: skip


def barriers():
    """FILE:LINE of every barrier of the kernels."""
    for path in sorted([*SOURCES.glob("*.cu"), *SOURCES.glob("*.h")]):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if BARRIER.search(line.partition("//")[0]):
                yield f"{path.name}:{number}"


@pytest.mark.prove
@pytest.mark.parametrize("schedule", ["forward", "random:1"])
def test_address_and_undefined_behaviour_sanitizers_are_silent(schedule):
    done = exercise("address", CUDAFIBER_SCHED=schedule)
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.mark.prove
def test_the_race_detector_is_silent():
    done = exercise("thread")
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.mark.prove
@pytest.mark.parametrize("site", barriers())
def test_each_barrier_is_needed_and_its_absence_noticed(site):
    done = exercise("thread", CUDAFIBER_SKIP=site)
    assert done.returncode != 0, f"nothing noticed that the barrier at {site} was left out"
    assert "data race" in done.stderr or "Error" in done.stderr, done.stderr[-4000:]
