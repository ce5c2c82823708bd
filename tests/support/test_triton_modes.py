"""Tests of Triton kernels run in the process that they are written for, or fail and say so."""

from types import SimpleNamespace

import pytest

from tests.support import triton_modes

HERE = triton_modes.INTERPRETER_TESTS.parents[1] / "support"


@pytest.mark.parametrize(("value", "expected"), [("1", True), ("true", True), ("0", False), (None, False)])
def test_the_variable_decides(monkeypatch, value, expected):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    if value is not None:
        monkeypatch.setenv("TRITON_INTERPRET", value)
    assert triton_modes.interpreting() is expected


@pytest.mark.parametrize("variable", ["0", "1"])
@pytest.mark.parametrize("inside", [False, True])
def test_a_test_in_the_wrong_process_fails(monkeypatch, variable, inside):
    monkeypatch.setenv("TRITON_INTERPRET", variable)
    item = SimpleNamespace(path=(triton_modes.INTERPRETER_TESTS if inside else HERE) / "test_x.py")
    if inside == (variable == "1"):
        triton_modes.pytest_runtest_setup(item)
    else:
        with pytest.raises(pytest.fail.Exception, match="needs a process with"):
            triton_modes.pytest_runtest_setup(item)


def test_a_run_over_everything_leaves_the_interpreters_tests_out(monkeypatch):
    folder = triton_modes.INTERPRETER_TESTS
    monkeypatch.setenv("TRITON_INTERPRET", "0")
    everything = SimpleNamespace(args=[str(folder.parents[1])])
    named = SimpleNamespace(args=[f"{folder}/test_x.py::test_y"])
    assert triton_modes.pytest_ignore_collect(folder, everything) is True
    assert triton_modes.pytest_ignore_collect(HERE, everything) is None
    assert triton_modes.pytest_ignore_collect(folder, named) is None
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert triton_modes.pytest_ignore_collect(folder, everything) is None
