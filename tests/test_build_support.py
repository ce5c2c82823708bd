import os
import re
import subprocess
import sys
import time

import pytest

from build_support import cpu, cuda
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


def test_a_folder_may_have_any_name(toolchain, tmp_path):
    folder = tmp_path / "it's $HOME (a) & b"
    (folder / "include").mkdir(parents=True)
    (folder / "include" / "h.h").write_text("int one() { return 1; }\n")
    (folder / "a.cpp").write_text("#include <h.h>\n")
    ninja = NinjaFile(folder / "build", toolchain.compiler, toolchain.ninja)
    library = ninja.link(
        [ninja.compile(folder / "a.cpp", "a.o", ["-fPIC", f"-I{folder / 'include'}"])], folder / "a.so", []
    )
    ninja.run()
    assert library.exists()


def test_a_compiler_may_have_words_of_its_own(toolchain, tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", f"env {toolchain.compiler}")
    toolchain = Toolchain.find()
    (tmp_path / "a b.cpp").write_text("int one() { return 1; }\n")
    assert build(toolchain, tmp_path).exists()


def test_each_step_is_said_as_it_is_done(toolchain, tmp_path, capfd):
    (tmp_path / "a b.cpp").write_text("int one() { return 1; }\n")
    build(toolchain, tmp_path)
    assert re.search(r"seq2seq_fast: \[1/2\] compile .*a b\.cpp", capfd.readouterr().err)


@pytest.mark.parametrize("program", ["exit 1", "exec no-such-program", ""])
def test_an_nvcc_that_does_not_work_loses_one_engine_with_one_line(tmp_path, monkeypatch, program):
    nvcc = tmp_path / "bin" / "nvcc"
    nvcc.parent.mkdir()
    nvcc.write_text(f"#!/bin/sh\n{program}\n")
    nvcc.chmod(0o755)
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    monkeypatch.delenv("TORCH_CUDA_ARCH_LIST", raising=False)
    with pytest.raises(Unavailable, match="nvcc") as raised:
        cuda.build(tmp_path / "out", tmp_path / "build")
    assert "\n" not in str(raised.value)


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
