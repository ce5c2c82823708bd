"""One build of the CPU engine serves every torch: it needs C functions of torch and nothing of its C++ classes."""

import re
import shutil
import subprocess

import pytest

from seq2seq_fast.ops import cpu

BUILT = [c for c in cpu.CAPABILITIES if cpu.library_path(c).exists()]

pytestmark = [
    pytest.mark.skipif(not BUILT, reason="no CPU engine was built"),
    pytest.mark.skipif(shutil.which("nm") is None, reason="binutils' nm is not installed"),
]


def _undefined(capability: str) -> list[str]:
    listed = subprocess.run(
        ["nm", "--undefined-only", "--dynamic", "--demangle", str(cpu.library_path(capability))],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [line.split(maxsplit=1)[1] for line in listed.stdout.splitlines()]


@pytest.mark.parametrize("capability", BUILT)
def test_no_cxx_symbol_of_torch_is_left_undefined(capability):
    needed = _undefined(capability)
    assert [name for name in needed if re.search(r"\b(at|c10|caffe2|torch)::", name)] == []
    assert any(name.startswith("torch_parallel_for") for name in needed)  # the list is of this engine


@pytest.mark.parametrize("capability", BUILT)
def test_threads_are_those_of_torch(capability):
    assert [name for name in _undefined(capability) if re.match(r"(GOMP|omp|__kmpc)_", name)] == []
