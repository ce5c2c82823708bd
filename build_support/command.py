"""``setup.py build_ext``: builds what can be built here, and writes seq2seq_fast/_build_info.py, which says what."""

from __future__ import annotations

import sys
from pathlib import Path

from setuptools.command.build_ext import build_ext

from build_support import cpu, cuda
from build_support.toolchain import ROOT, Toolchain, Unavailable

BUILD_INFO = '''"""What setup.py built; generated."""

TORCH_VERSION = {torch_version!r}
CPU_CAPABILITIES = {capabilities!r}
CPU_REASON = {reason!r}
CUDA_REASON = {cuda_reason!r}
CUDA_ARCHITECTURES = {architectures!r}
'''


class BuildCompiled(build_ext):
    """Leaves out, with one line that says so, what cannot be compiled here."""

    def run(self) -> None:
        in_place = self.inplace or getattr(self, "editable_mode", False)
        package = (ROOT if in_place else Path(self.build_lib)).resolve() / "seq2seq_fast"
        package.mkdir(parents=True, exist_ok=True)
        torch_version, capabilities, reason = "", [], ""
        self._built: list[str] = []
        try:
            capabilities = cpu.wanted()
            toolchain = Toolchain.find()
            libraries = cpu.build(toolchain, capabilities, package, ROOT / "build" / "cpu")
            torch_version = toolchain.torch_version
            self._built = [str(library) for library in libraries]
        except Unavailable as error:
            capabilities, reason = [], str(error)
            print(f"seq2seq_fast: the CPU engine is left out: {reason}", file=sys.stderr)
        cuda_reason, architectures = "", []
        try:
            self._built.append(str(cuda.build(package, ROOT / "build" / "cuda")))
            architectures = cuda.architectures(cuda.find_nvcc())
        except Unavailable as error:
            cuda_reason = str(error)
            print(f"seq2seq_fast: the CUDA engine is left out: {cuda_reason}", file=sys.stderr)
        for library in package.glob("_c*.so"):
            if str(library) not in self._built:
                library.unlink()  # of an earlier build, with other settings
        info = package / "_build_info.py"
        info.write_text(
            BUILD_INFO.format(
                torch_version=torch_version,
                capabilities=tuple(capabilities),
                reason=reason,
                cuda_reason=cuda_reason,
                architectures=tuple(architectures),
            )
        )
        self._built.append(str(info))

    def get_outputs(self) -> list[str]:
        return list(getattr(self, "_built", []))

    def get_output_mapping(self) -> dict[str, str]:
        return {}
