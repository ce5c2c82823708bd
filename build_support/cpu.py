"""The CPU engine, ``csrc/cpu``: one shared object an instruction set, of which seq2seq_fast/ops/cpu.py loads one.

``NAME_kernel.cpp`` are compiled once an instruction set; they see pointers and sizes, ATen's vectors (headers alone)
and torch's threads. The other ``.cpp`` files see tensors and register the operators; they are compiled once, for any
processor, and linked into every shared object. All of it uses PyTorch's stable C interface, so that one build serves
every torch from 2.11 on and every Python.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
from pathlib import Path

from build_support.toolchain import ROOT, NinjaFile, Toolchain, Unavailable

SOURCES = ROOT / "csrc" / "cpu"

CAPABILITIES: dict[str, list[str]] = {
    "DEFAULT": [],
    "AVX2": ["-mavx2", "-mfma", "-mf16c"],
    "AVX512": ["-mavx2", "-mfma", "-mf16c", "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq"],
}

# PyTorch's stable interface as torch 2.11 has it: what is built here is loaded by that torch and every later one. The
# kernels do without, since it refuses ATen's vectors, which are only headers; tests/csrc/test_symbols.py looks.
STABLE = "-DTORCH_TARGET_VERSION=0x020b000000000000ULL"

SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer", "-g1"]


def wanted() -> list[str]:
    """The instruction sets that SEQ2SEQ_FAST_BUILD_CPU names ("AVX2,DEFAULT"; "0" for none), else all there are."""
    asked = os.environ.get("SEQ2SEQ_FAST_BUILD_CPU")
    if asked is None:
        return list(CAPABILITIES) if platform.machine() in ("x86_64", "AMD64") else ["DEFAULT"]
    if asked in ("0", ""):
        raise Unavailable("SEQ2SEQ_FAST_BUILD_CPU=0 asked for no CPU engine")
    names = asked.upper().split(",")
    unknown = [name for name in names if name not in CAPABILITIES]
    if unknown:
        raise SystemExit(f"SEQ2SEQ_FAST_BUILD_CPU={asked}: {unknown[0]} is none of {', '.join(CAPABILITIES)}")
    return names


def library_name(capability: str) -> str:
    return f"_cpu_{capability.lower()}.so"


def write_schemas(directory: Path) -> Path:
    """The schemas of seq2seq_fast/ops/schemas.py as a source, so that the engine defines its operators by itself."""
    spec = importlib.util.spec_from_file_location("schemas", ROOT / "seq2seq_fast" / "ops" / "schemas.py")
    assert spec is not None and spec.loader is not None
    schemas = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(schemas)
    lines = [f"  m.def({json.dumps(name + schema)});\n" for name, schema in schemas.schemas_of("cpu").items()]
    text = f"""// Written by build_support/cpu.py from seq2seq_fast/ops/schemas.py.
#include <torch/csrc/stable/library.h>

STABLE_TORCH_LIBRARY_FRAGMENT({schemas.namespace("cpu")}, m) {{
{"".join(lines)}}}
"""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "schemas.cpp"
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
    return path


def build(
    toolchain: Toolchain, capabilities: list[str], to: Path, directory: Path, sanitize: bool = False
) -> list[Path]:
    """Build the shared objects of the instruction sets into ``to``, with intermediate files in ``directory``."""
    ninja = NinjaFile(directory, toolchain.compiler, toolchain.ninja)
    common = [
        "-std=c++20", "-fPIC", "-fvisibility=hidden", "-fvisibility-inlines-hidden", "-Wall", "-Wextra",
        "-Wno-unknown-pragmas", "-Wno-unused-parameter", "-Wno-psabi", "-DNDEBUG",
        f"-I{SOURCES.parent}", "-isystem", str(toolchain.torch / "include"),
        *(SANITIZE if sanitize else []),
    ]  # fmt: skip
    arithmetic = ["-O1" if sanitize else "-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"]
    sources = [*sorted(SOURCES.glob("*.cpp")), write_schemas(directory)]
    kernels = [source for source in sources if source.stem.endswith("_kernel")]
    shared = [
        ninja.compile(source, f"{source.stem}.o", [*common, STABLE, "-O1" if sanitize else "-O2"])
        for source in sources
        if source not in kernels
    ]
    libraries = []
    for capability in capabilities:
        flags = [f"-DCPU_CAPABILITY={capability}", f"-DCPU_CAPABILITY_{capability}", *CAPABILITIES[capability]]
        objects = [
            ninja.compile(source, f"{capability.lower()}/{source.stem}.o", [*common, *arithmetic, *flags])
            for source in kernels
        ]
        # Threads are torch's own, through its C interface: an OpenMP library here would be a second pool.
        link = [f"-L{toolchain.torch / 'lib'}", "-ltorch_cpu", *(SANITIZE if sanitize else [])]
        libraries.append(ninja.link([*shared, *objects], to / library_name(capability), link))
    ninja.run()
    return libraries
