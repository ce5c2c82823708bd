"""The compiled engine under AddressSanitizer and UndefinedBehaviorSanitizer, driven by the operators' own tests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from build_support import cpu
from build_support.toolchain import ROOT, Toolchain, Unavailable

TESTS = [
    "tests/csrc/test_cpu_attention.py",
    "tests/csrc/test_cpu_gates.py",
    "tests/ops/test_additive_attention.py",
    "tests/ops/test_additive_score.py",
    "tests/ops/test_attention_memory.py",
    "tests/ops/test_gru_cell.py",
    "tests/ops/test_lstm_cell.py",
    "tests/ops/test_attention_decoder.py",
    "tests/ops/test_attention_decoder_step.py",
    "tests/ops/test_recurrent_sequence.py",
]
# What needs memory that the sanitizers reserve, or measures it.
NOT_HERE = "not parallel_region and not two_to_the_31 and not peak_memory"


def runtime(toolchain: Toolchain, name: str) -> str:
    found = subprocess.run([toolchain.compiler, f"-print-file-name={name}"], capture_output=True, text=True, check=True)
    return found.stdout.strip()


@pytest.mark.prove
def test_operators_pass_their_tests_under_sanitizers(tmp_path):
    try:
        toolchain = Toolchain.find()
    except Unavailable as reason:
        pytest.skip(str(reason))
    capability = "AVX2" if "AVX2" in cpu.wanted() else "DEFAULT"
    (library,) = cpu.build(toolchain, [capability], tmp_path, ROOT / "build" / "cpu_sanitized", sanitize=True)
    environment = {
        **os.environ,
        "SEQ2SEQ_FAST_CPU_LIBRARY": str(library),
        # Python itself is not instrumented: the runtimes have to be there before it. It keeps memory to its end.
        "LD_PRELOAD": " ".join(runtime(toolchain, name) for name in ("libasan.so", "libubsan.so")),
        "ASAN_OPTIONS": "detect_leaks=0:halt_on_error=1:alloc_dealloc_mismatch=0",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    }
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-k", NOT_HERE, *TESTS]
    done = subprocess.run(command, cwd=Path(ROOT), env=environment, capture_output=True, text=True, timeout=3000)
    assert done.returncode == 0, (done.stdout + done.stderr)[-8000:]
