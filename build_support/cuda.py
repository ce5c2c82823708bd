"""The CUDA engine, ``csrc/cuda``: one Python module, seq2seq_fast/_cuda.abi3.so, loaded by seq2seq_fast/ops/cuda.py.

The kernels see no header of torch and none of Python; the launchers take addresses. The CUDA runtime is linked
statically, so that the module loads on a machine without a GPU, beside any torch, in any Python from 3.10 on.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from build_support.toolchain import ROOT, NinjaFile, Unavailable, find_ninja

SOURCES = ROOT / "csrc" / "cuda"
ARCHITECTURES = ("80", "86", "89", "90", "100", "120")
OLDEST = 80
# The names that torch gives compute capabilities (torch/utils/cpp_extension.py).
NAMED = {
    "Kepler+Tesla": "3.7",
    "Kepler": "3.5+PTX",
    "Maxwell+Tegra": "5.3",
    "Maxwell": "5.0;5.2+PTX",
    "Pascal": "6.0;6.1+PTX",
    "Volta+Tegra": "7.2",
    "Volta": "7.0+PTX",
    "Turing": "7.5+PTX",
    "Ampere+Tegra": "8.7",
    "Ampere": "8.0;8.6+PTX",
    "Ada": "8.9+PTX",
    "Hopper": "9.0+PTX",
    "Blackwell+Tegra": "11.0",
    "Blackwell": "10.0;10.3;12.0;12.1+PTX",
}


def find_nvcc() -> str:
    """nvcc from CUDA_HOME or from PATH. Raises Unavailable."""
    if os.environ.get("SEQ2SEQ_FAST_BUILD_CUDA") in ("0", ""):
        raise Unavailable("SEQ2SEQ_FAST_BUILD_CUDA=0 asked for no CUDA engine")
    home = os.environ.get("CUDA_HOME")
    folder = os.path.join(home, "bin") if home else None
    nvcc = shutil.which("nvcc", path=folder)
    if nvcc is None:
        raise Unavailable(f"no nvcc was found in {folder or 'PATH'}")
    return nvcc


def architectures(nvcc: str) -> list[str]:
    """The compute capabilities to build for, such as "80" and "90", a final "+PTX" kept.

    TORCH_CUDA_ARCH_LIST is obeyed as torch reads it ("8.0;9.0+PTX", "Hopper"), without what is older than the kernels
    can serve, which one line says; by default all of ARCHITECTURES that this nvcc knows, and PTX for devices that come
    later. Raises Unavailable where nothing is left.
    """
    asked = os.environ.get("TORCH_CUDA_ARCH_LIST", "")
    pieces = [piece for piece in re.split(r"[;, ]+", asked) if piece]
    if pieces:
        return _asked(f"TORCH_CUDA_ARCH_LIST={asked}", pieces)
    try:
        listed = subprocess.run([nvcc, "--list-gpu-code"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise Unavailable(f"{nvcc} does not work ({' '.join(str(error).split())})") from None
    known = [architecture for architecture in ARCHITECTURES if f"sm_{architecture}" in listed.split()]
    if not known:
        raise Unavailable(f"nvcc knows none of sm_{', sm_'.join(ARCHITECTURES)}")
    return [*known[:-1], known[-1] + "+PTX"]


def _asked(setting: str, pieces: list[str]) -> list[str]:
    names = [name for piece in pieces for name in NAMED.get(piece, piece).split(";")]
    wrong = [name for name in names if not re.fullmatch(r"\d+\.\d[af]?(\+PTX)?", name)]
    if wrong:
        raise Unavailable(f"{setting}: {wrong[0]} is no compute capability such as 9.0+PTX, nor torch's name of one")
    found: dict[str, str] = {}  # by number: one that is asked for twice is built once, with PTX if either has it
    too_old = []
    for name in names:
        number, _, ptx = name.replace(".", "").partition("+")
        if int(number.rstrip("af")) < OLDEST:
            too_old.append(name)
        else:
            found[number] = found.get(number) or ptx
    if too_old:
        left_out = f"{setting}: {', '.join(too_old)} is older than 8.0, the oldest that the CUDA engine serves"
        if not found:
            raise Unavailable(left_out)
        print(f"seq2seq_fast: {left_out}; built for the others", file=sys.stderr)
    return [f"{number}+PTX" if ptx else number for number, ptx in found.items()]


def gencode(names: list[str]) -> str:
    """nvcc's flag for these architectures.

    The kernels use nothing newer than the oldest of them, so its PTX is made once, assembled for each, and taken along
    for devices that come later.
    """
    numbers = [name.removesuffix("+PTX") for name in names]
    oldest = min(int(number.rstrip("af")) for number in numbers)
    codes = [f"sm_{number}" for number in numbers]
    if any(name.endswith("+PTX") for name in names):
        codes.append(f"compute_{oldest}")
    return f"-gencode=arch=compute_{oldest},code=[{','.join(codes)}]"


def module_name() -> str:
    return "_cuda.abi3.so"


def build(to: Path, directory: Path) -> Path:
    """Build the module into ``to``, with intermediate files in ``directory``. Raises Unavailable with the reason."""
    nvcc = find_nvcc()
    ninja = NinjaFile(directory, shlex.quote(nvcc), find_ninja())
    flags = ["-std=c++17", "-O3", gencode(architectures(nvcc)), "-Xcompiler=-fPIC,-fvisibility=hidden"]
    headers = [f"-I{ROOT / 'csrc'}", f"-isystem={sysconfig.get_paths()['include']}"]
    sources = [*sorted(SOURCES.glob("*.cu")), SOURCES / "bindings.cpp"]
    objects = [ninja.compile(source, f"{source.stem}.o", [*flags, *headers]) for source in sources]
    module = ninja.link(objects, to / module_name(), ["--cudart=static", "-Xlinker=-O1"])
    ninja.run()
    return module
