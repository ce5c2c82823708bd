"""Gathers the sources of the site in ``build/site_source``, laid out as in the repository: links work in both."""

from __future__ import annotations

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "build" / "site_source"
PARTS = (
    "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "CITATION.cff", "docs", "configs", "examples", "benchmarks/results",
)  # fmt: skip


def gather() -> Path:
    """Copies the pages, their pictures and the files that they link to; gives the folder."""
    shutil.rmtree(TARGET, ignore_errors=True)
    for part in PARTS:
        source, target = ROOT / part, TARGET / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    return TARGET


if __name__ == "__main__":
    print(gather())
