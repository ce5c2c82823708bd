"""Compiles CUDA C++ with g++ and the headers beside this file; results are kept in ``build/cudafiber`` by content."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
INCLUDE = Path(__file__).resolve().parent / "include"
CSRC = ROOT / "csrc"
CACHE = ROOT / "build" / "cudafiber"
FLAGS = ("-std=c++17", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-Wno-unused-parameter")

# Misaligned accesses become errors of the launch; see cudafiber/alignment.h.
ALIGNMENT = ("-fsanitize=alignment", "-DCUDAFIBER_ALIGNMENT")
SANITIZERS = {
    "address": ("-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"),
    "thread": ("-g1", "-fsanitize=thread"),
}


def compiler() -> str:
    return os.environ.get("CXX", "g++")


def _headers() -> list[Path]:
    return sorted(path for folder in (INCLUDE, CSRC) for path in folder.rglob("*.h"))


def _key(parts: Iterable[str | bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else part)
        digest.update(b"\0")
    return digest.hexdigest()[:24]


def _call(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr[-6000:]}")


def build(sources: Sequence[Path], name: str, *, flags: Sequence[str] = (), shared: bool = False) -> Path:
    """An executable (or a shared object) of the sources, each compiled on its own; made again only when they change."""
    compiling = [compiler(), *FLAGS, f"-I{INCLUDE}", f"-I{CSRC}", *(["-fPIC"] if shared else []), *flags]
    headers = [path.read_bytes() for path in _headers()]
    objects = []
    missing = []
    for source in sources:
        target = CACHE / f"{source.stem}-{_key([*compiling, *headers, source.read_bytes()])}.o"
        objects.append(target)
        if not target.exists():
            missing.append((source, target))
    CACHE.mkdir(parents=True, exist_ok=True)

    def compile_one(job: tuple[Path, Path]) -> None:
        source, target = job
        partial = target.with_suffix(f".{os.getpid()}")
        _call([*compiling, "-x", "c++", "-c", str(source), "-o", str(partial)])
        partial.replace(target)

    with ThreadPoolExecutor(int(os.environ.get("MAX_JOBS", "2"))) as pool:
        list(pool.map(compile_one, missing))
    suffix = ".so" if shared else ""
    result = CACHE / f"{_key([*compiling, *map(str, objects)])}" / f"{name}{suffix}"
    if not result.exists():
        result.parent.mkdir(exist_ok=True)
        partial = result.with_suffix(f".{os.getpid()}")
        _call([*compiling, *(["-shared"] if shared else []), *map(str, objects), "-o", str(partial)])
        partial.replace(result)
    return result


def run(program: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program with additional environment variables (CUDAFIBER_SCHED, CUDAFIBER_SKIP)."""
    # Fibers' stacks are the machinery's: LeakSanitizer would report them when a launch ends early.
    return subprocess.run(
        [str(program), *arguments], capture_output=True, text=True, check=False,
        env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0", **environment},
    )  # fmt: skip
