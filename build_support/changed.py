"""The tests of what a change touches, a path a line, for `make check`: mirrors of changed files, and changed tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def changed(base: str) -> list[Path]:
    """Files that differ from ``base``, committed or not, new ones too."""
    commands = (["git", "diff", "--name-only", base], ["git", "ls-files", "--others", "--exclude-standard"])
    names = "".join(subprocess.run(c, cwd=ROOT, check=True, capture_output=True, text=True).stdout for c in commands)
    return [Path(name) for name in dict.fromkeys(names.splitlines())]


def tests_of(path: Path) -> list[Path]:
    """A test file itself; the mirror of a module; the tests of its folder where it has no mirror."""
    if path.parts[0] == "tests":
        return [path] if path.name.startswith("test_") and (ROOT / path).exists() else []
    if path.suffix != ".py" or path.parts[0] not in ("seq2seq_fast", "benchmarks", "build_support", "examples"):
        return []
    inside = Path(*path.parts[1:]) if path.parts[0] == "seq2seq_fast" else path
    mirror = Path("tests") / inside.parent / f"test_{inside.stem}.py"
    if (ROOT / mirror).exists():
        return [mirror]
    folder = Path("tests") / inside.parent
    return [folder] if folder != Path("tests") and (ROOT / folder).is_dir() else []


if __name__ == "__main__":
    found = [test for path in changed(sys.argv[1] if len(sys.argv) > 1 else "HEAD") for test in tests_of(path)]
    print("\n".join(map(str, dict.fromkeys(found))))
