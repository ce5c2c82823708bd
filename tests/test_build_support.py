import os
import subprocess
import sys
import time

import pytest

from build_support import cpu
from build_support.toolchain import ROOT, NinjaFile, Toolchain, Unavailable


@pytest.fixture
def toolchain():
    try:
        return Toolchain.find()
    except Unavailable as reason:
        pytest.skip(str(reason))


def build(toolchain, tmp_path):
    ninja = NinjaFile(tmp_path / "build", toolchain.compiler, toolchain.ninja)
    compiled = ninja.compile(tmp_path / "a b.cpp", "a.o", ["-fPIC"])
    library = ninja.link([compiled], tmp_path / "a.so", [])
    ninja.run()
    return library


def test_only_what_changed_is_built_again(toolchain, tmp_path):
    (tmp_path / "a b.cpp").write_text('#include "h.h"\n')
    (tmp_path / "h.h").write_text("int one() { return 1; }\n")
    library = build(toolchain, tmp_path)
    first = library.stat().st_mtime_ns
    assert build(toolchain, tmp_path).stat().st_mtime_ns == first
    time.sleep(0.01)
    (tmp_path / "h.h").write_text("int one() { return 2; }\n")
    assert build(toolchain, tmp_path).stat().st_mtime_ns > first


def test_the_compilers_error_is_named(toolchain, tmp_path):
    (tmp_path / "a b.cpp").write_text("int one( { return 1; }\n")
    with pytest.raises(Unavailable, match="the compiler failed"):
        build(toolchain, tmp_path)


def test_a_compiler_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(Unavailable, match="CXX=no-such-compiler is not there"):
        Toolchain.find()


def test_instruction_sets_are_named_by_the_environment(monkeypatch):
    monkeypatch.setenv("SEQ2SEQ_FAST_BUILD_CPU", "avx2,DEFAULT")
    assert cpu.wanted() == ["AVX2", "DEFAULT"]
    monkeypatch.setenv("SEQ2SEQ_FAST_BUILD_CPU", "0")
    with pytest.raises(Unavailable, match="asked for no CPU engine"):
        cpu.wanted()
    monkeypatch.setenv("SEQ2SEQ_FAST_BUILD_CPU", "MMX")
    with pytest.raises(SystemExit, match="MMX is none of"):
        cpu.wanted()


def test_without_a_compiler_the_package_builds_without_the_engine_and_says_so(tmp_path):
    command = [sys.executable, "setup.py", "--quiet", "build_ext", "--build-lib", str(tmp_path)]
    environment = {**os.environ, "CXX": "no-such-compiler", "CUDA_HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if "left out" in line]
    assert said == [
        "seq2seq_fast: the CPU engine is left out: CXX=no-such-compiler is not there",
        f"seq2seq_fast: the CUDA engine is left out: no nvcc was found in {tmp_path / 'bin'}",
    ]
    built = (tmp_path / "seq2seq_fast" / "_build_info.py").read_text()
    assert "CPU_CAPABILITIES = ()" in built and "CUDA_REASON = 'no nvcc was found" in built
    assert "CUDA_ARCHITECTURES = ()" in built
    assert not list((tmp_path / "seq2seq_fast").glob("*.so"))
