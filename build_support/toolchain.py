"""The compiler, ninja, and the torch to build against; builds as ninja files, so that nothing is compiled twice."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class Unavailable(Exception):
    """Why something cannot be built here, in one line."""


@dataclass(frozen=True)
class Toolchain:
    """What there is to build with.

    Attributes:
        compiler: the C++ compiler as words of a shell.
        ninja: the path of ninja.
        torch: the folder of the installed package.
        torch_version: its version.
    """

    compiler: str
    ninja: str
    torch: Path
    torch_version: str

    @classmethod
    def find(cls) -> Toolchain:
        """The compiler named by CXX, else c++, g++ or clang++. Raises Unavailable where something is missing."""
        if not sys.platform.startswith("linux"):
            raise Unavailable(f"the compiled parts are built on Linux only, not on {sys.platform}")
        try:
            import torch
        except ImportError as error:
            raise Unavailable(f"torch cannot be imported ({error})") from None
        named = os.environ.get("CXX")
        if named:  # a command with words of its own, such as "ccache g++"
            compiler = named if shutil.which(next(iter(shlex.split(named)), "")) else None
        else:
            found = next(filter(None, map(shutil.which, ["c++", "g++", "clang++"])), None)
            compiler = shlex.quote(found) if found else None
        if compiler is None:
            raise Unavailable(f"CXX={named} is not there" if named else "no C++ compiler was found")
        if not (Path(torch.__file__).parent / "include/torch/headeronly").is_dir():
            raise Unavailable(f"torch {torch.__version__} is older than 2.11, the oldest that is served")
        return cls(compiler, find_ninja(), Path(torch.__file__).parent, torch.__version__)


def find_ninja() -> str:
    """The ninja of this Python, else that of PATH. Raises Unavailable."""
    beside_python = Path(sys.executable).with_name("ninja")
    if beside_python.exists():
        return str(beside_python)
    try:
        import ninja

        return str(Path(ninja.BIN_DIR) / "ninja")
    except ImportError:
        found = shutil.which("ninja")
    if found is None:
        raise Unavailable("ninja was not found")
    return found


@dataclass
class NinjaFile:
    """Compile and link steps of one compiler (g++, clang++ or nvcc), run by ninja in ``directory``.

    ``compiler`` is words of a shell. Flags are quoted here, so that a folder may have any name.
    """

    directory: Path
    compiler: str
    ninja: str
    _steps: list[str] = field(default_factory=list)
    _made: set[Path] = field(default_factory=set)

    def compile(self, source: Path, to: str, flags: list[str]) -> Path:
        """``source`` to the object file ``to`` below the directory."""
        target = self.directory / to
        self._step("compile", target, [source], flags)
        return target

    def link(self, objects: list[Path], target: Path, flags: list[str]) -> Path:
        """The shared object ``target``."""
        self._step("link", target, objects, flags)
        return target

    def _step(self, rule: str, target: Path, inputs: list[Path], flags: list[str]) -> None:
        if target not in self._made:
            self._made.add(target)
            self._steps.append(
                f"build {_escape(target)}: {rule} {' '.join(map(_escape, inputs))}\n"
                f"  flags = {' '.join(_escape_variable(shlex.quote(flag)) for flag in flags)}\n"
            )

    def run(self) -> None:
        """Bring every target up to date. Raises Unavailable naming the log of what the compiler said."""
        text = (
            f"cxx = {_escape_variable(self.compiler)}\n"
            "rule compile\n  command = $cxx -MMD -MF $out.d $flags -c $in -o $out\n"
            "  depfile = $out.d\n  deps = gcc\n  description = compile $in\n"
            "rule link\n  command = $cxx -shared $in -o $out $flags\n  description = link $out\n" + "".join(self._steps)
        )
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "build.ninja").write_text(text)
        jobs = os.environ.get("MAX_JOBS")
        command = [self.ninja, "-C", str(self.directory), *(["-j", jobs] if jobs else [])]
        said = []
        with subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as building:
            assert building.stdout is not None
            for line in building.stdout:
                said.append(line)
                if re.match(r"\[\d+/\d+\] ", line):  # ninja's line for a step that is done
                    print(f"seq2seq_fast: {line.rstrip().replace(f'{ROOT}/', '')}", file=sys.stderr, flush=True)
        if building.returncode:
            log = self.directory / "build.log"
            log.write_text("".join(said))
            errors = [line for line in said if "error" in line] or [line for line in said if "FAILED" in line]
            raise Unavailable(
                f"the compiler failed ({errors[0].strip() if errors else 'no message'}); all of it: {log}"
            )


def _escape_variable(text: str) -> str:
    return text.replace("$", "$$")


def _escape(path: Path) -> str:
    return str(path).replace("$", "$$").replace(" ", "$ ").replace(":", "$:")
