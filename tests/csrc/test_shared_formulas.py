"""Formulas of cells and scores are written once, in csrc/common, and both engines take them from there."""

import re

import pytest

from build_support import cpu, cuda

COMMON = cpu.SOURCES.parent / "common"
FORMULAS = [
    name
    for header in ("cells.h", "score.h")
    for name in re.findall(r"^HOST_DEVICE \S+ (\w+)\(", (COMMON / header).read_text(), re.MULTILINE)
]


@pytest.mark.parametrize("engine", [cpu.SOURCES, cuda.SOURCES], ids=lambda folder: folder.name)
@pytest.mark.parametrize("name", FORMULAS)
def test_an_engine_takes_the_formula_from_common_and_has_none_of_that_name(engine, name):
    code = re.sub(r"//.*", "", "\n".join(path.read_text() for path in sorted(engine.iterdir())))
    assert re.search(rf"\b{name}\b", code)
    assert not re.search(rf"^\S.*\b{name}\(", code, re.MULTILINE), "defined again"


def test_the_formulas_are_there():
    assert {"sigmoid", "gru_interpolate", "lstm_backward", "sum_of_ratios", "direct_denominator"} <= set(FORMULAS)
