"""The CUDA engine, ``csrc/cuda``: one Python module, seq2seq_fast/_cuda*.so, loaded by seq2seq_fast/ops/cuda.py.

The kernels see no header of torch and none of Python; the launchers take addresses. The CUDA runtime is linked
statically, so that the module loads on a machine without a GPU and beside any torch.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

from build_support.toolchain import ROOT, Unavailable

SOURCES = ROOT / "csrc" / "cuda"
ARCHITECTURES = ("80", "86", "89", "90", "100", "120")


def find_nvcc() -> str:
    """nvcc from CUDA_HOME or from PATH. Raises Unavailable."""
    if os.environ.get("SEQ2SEQ_FAST_BUILD_CUDA") in ("0", ""):
        raise Unavailable("SEQ2SEQ_FAST_BUILD_CUDA=0 asked for no CUDA engine")
    home = os.environ.get("CUDA_HOME")
    nvcc = shutil.which("nvcc", path=os.path.join(home, "bin")) if home else shutil.which("nvcc")
    if nvcc is None:
        raise Unavailable("no nvcc was found")
    return nvcc


def architectures(nvcc: str) -> list[str]:
    """The compute capabilities to build for, such as "80" and "90", a final "+PTX" kept.

    TORCH_CUDA_ARCH_LIST is obeyed as torch reads it ("8.0;9.0+PTX"); by default all of ARCHITECTURES that this nvcc
    knows, and the newest of them as PTX for devices that come later.
    """
    asked = os.environ.get("TORCH_CUDA_ARCH_LIST")
    if asked:
        names = re.split(r"[;, ]+", asked.strip())
        wrong = [name for name in names if not re.fullmatch(r"\d+\.\d[af]?(\+PTX)?", name)]
        if wrong:
            raise SystemExit(f"TORCH_CUDA_ARCH_LIST={asked}: {wrong[0]} is no compute capability such as 9.0+PTX")
        return [name.replace(".", "") for name in names]
    listed = subprocess.run([nvcc, "--list-gpu-code"], capture_output=True, text=True, check=True).stdout
    known = [architecture for architecture in ARCHITECTURES if f"sm_{architecture}" in listed.split()]
    if not known:
        raise Unavailable(f"nvcc knows none of sm_{', sm_'.join(ARCHITECTURES)}")
    return [*known[:-1], known[-1] + "+PTX"]


def gencode(names: list[str]) -> list[str]:
    """nvcc's flags for these architectures."""
    flags = []
    for name in names:
        number = name.removesuffix("+PTX")
        codes = f"sm_{number},compute_{number}" if name.endswith("+PTX") else f"sm_{number}"
        flags.append(f"-gencode=arch=compute_{number},code=[{codes}]")
    return flags


def module_name() -> str:
    return "_cuda" + sysconfig.get_config_var("EXT_SUFFIX")


def build(to: Path, directory: Path) -> Path:
    """Build the module into ``to``, with intermediate files in ``directory``, where it is older than its sources.

    Raises Unavailable where there is no nvcc, SystemExit with nvcc's messages where a source does not compile.
    """
    nvcc = find_nvcc()
    try:
        import pybind11
    except ImportError as error:
        raise Unavailable(f"pybind11 cannot be imported ({error})") from None
    jobs = os.environ.get("MAX_JOBS") or str(min(os.cpu_count() or 1, 8))
    target = to / module_name()
    command = [
        nvcc, "-shared", "-std=c++17", "-O3", "--threads", jobs, *gencode(architectures(nvcc)), "--cudart=static",
        "-Xcompiler=-fPIC,-fvisibility=hidden", "-Xlinker=-O1", f"-I{ROOT / 'csrc'}",
        f"-isystem={pybind11.get_include()}", f"-isystem={sysconfig.get_paths()['include']}",
        *map(str, sorted(SOURCES.glob("*.cu"))), str(SOURCES / "bindings.cpp"), "-o", str(target),
    ]  # fmt: skip
    stamp = directory / "command"
    sources = [*SOURCES.iterdir(), *(ROOT / "csrc" / "common").iterdir()]
    newest = max(source.stat().st_mtime for source in sources)
    if (
        target.exists()
        and stamp.exists()
        and stamp.read_text() == " ".join(command)
        and target.stat().st_mtime > newest
    ):
        return target
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        raise SystemExit(f"{done.stdout}\nseq2seq_fast: nvcc failed")
    directory.mkdir(parents=True, exist_ok=True)
    stamp.write_text(" ".join(command))
    return target
