"""The kernels under sanitizers, and proof that a missing barrier would be noticed."""

import re
from pathlib import Path

import pytest

from tests.emulators.cudafiber import compiler
from tests.emulators.cudafiber.module import SOURCES

PROGRAMS = Path(__file__).parent / "programs"
# What each program exercises; barriers of headers are those of attention.
KERNELS = {
    "attention": [path for path in sorted(SOURCES.glob("a*.cu")) if not path.stem.startswith("attention_decoder")],
    "cells": [SOURCES / "gru_cell.cu", SOURCES / "lstm_cell.cu"],
    "decoder": [SOURCES / "attention_decoder.cu"],
    "reversed": [SOURCES / "attention_decoder_backward.cu"],
}
SCHEDULES = ("forward", "reverse", "random:1")
BARRIER = re.compile(r"__syncthreads(_and|_or|_count)?\(|__syncwarp\(|\.sync\(\)")


def program(name, sanitizer=None):
    flags = ("-O1", "-fno-strict-aliasing", *compiler.SANITIZERS.get(sanitizer, ()))
    return compiler.build([PROGRAMS / f"{name}.cu", *KERNELS[name]], name, flags=flags)


def barriers():
    """FILE:LINE of every barrier of the kernels."""
    for path in sorted([*SOURCES.glob("*.cu"), *SOURCES.glob("*.h")]):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if BARRIER.search(line.partition("//")[0]):
                yield f"{path.name}:{number}"


@pytest.mark.prove
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("sanitizer", compiler.SANITIZERS)
@pytest.mark.parametrize("name", KERNELS)
def test_sanitizers_are_silent(name, sanitizer, schedule):
    done = compiler.run(program(name, sanitizer), CUDAFIBER_SCHED=schedule)
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]


@pytest.mark.prove
@pytest.mark.parametrize("site", list(barriers()))
def test_each_barrier_is_needed_and_its_absence_noticed(site):
    of_decoder = "reversed" if "backward" in site else "decoder"
    name = of_decoder if site.startswith(("attention_decoder", "decoder")) else "attention"
    done = compiler.run(program(name, "thread"), CUDAFIBER_SKIP=site, TSAN_OPTIONS="halt_on_error=1")
    assert done.returncode != 0, f"nothing noticed that the barrier at {site} was left out"
    assert "data race" in done.stderr or "Error" in done.stdout, done.stderr[-4000:]
