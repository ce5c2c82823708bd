"""Two processes for tests of Triton kernels: one that interprets them, one that compiles them.

Triton decides when a kernel is *defined* whether it is interpreted (TRITON_INTERPRET=1) or compiled, so one process
cannot do both. The convention:

- `tests/triton_kernels/interpreter/` holds the tests that run kernels in Triton's interpreter. They run in a process
  of their own: `TRITON_INTERPRET=1 python -m pytest tests/triton_kernels/interpreter`.
- Everything else runs without TRITON_INTERPRET: ahead-of-time compilation, execution of the generated PTX
  (`tests.emulators.ptx`), and all that has nothing to do with Triton.

`make test` and `make prove` start one process of each kind.

No conftest sets TRITON_INTERPRET. `tests/conftest.py` imports the two hooks below: a run over
all of `tests` leaves the interpreter's tests out, and a test that is run in the wrong process fails and says why.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

INTERPRETER_TESTS = Path(__file__).resolve().parents[1] / "triton_kernels" / "interpreter"


def interpreting() -> bool:
    """Whether kernels defined in this process are interpreted."""
    return os.environ.get("TRITON_INTERPRET", "0").lower() in ("1", "true", "on", "yes", "y")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """A run over all tests, without TRITON_INTERPRET, leaves the interpreter's tests to their own process."""
    if interpreting() or collection_path.resolve() != INTERPRETER_TESTS:
        return None
    named = [Path(str(argument).split("::")[0]).resolve() for argument in config.args]
    return None if any(INTERPRETER_TESTS in (path, *path.parents) for path in named) else True


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail tests that were asked for in the wrong process."""
    belongs_to_interpreter = INTERPRETER_TESTS in item.path.resolve().parents
    if belongs_to_interpreter != interpreting():
        wanted = "with TRITON_INTERPRET=1" if belongs_to_interpreter else "without TRITON_INTERPRET"
        pytest.fail(f"this test needs a process {wanted}", pytrace=False)
