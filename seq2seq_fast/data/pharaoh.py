"""Word alignments as Pharaoh text: a line for each pair, ``0-0 2-1`` linking source words 0 and 2 to words 0 and 1."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from seq2seq_fast.data.errors import InputError
from seq2seq_fast.data.text import read_lines

Links = tuple[tuple[int, int], ...]
_LINK = re.compile(r"(\d+)-(\d+)")


def read_pharaoh(path: str | Path) -> list[Links]:
    """Read the links (source word, target word) of each line, counted from 0, ascending and each once.

    Raises:
        InputError: the file cannot be read or a line holds something else; the message names it.
    """
    alignments = []
    for number, line in enumerate(read_lines(path), start=1):
        found = [(link, _LINK.fullmatch(link)) for link in line.split()]
        wrong = next((link for link, match in found if match is None), None)
        if wrong is not None:
            raise InputError(f"{path}: line {number}: {wrong[:40]!r} is no link such as 3-4 (source word, target word)")
        alignments.append(tuple(sorted({(int(match[1]), int(match[2])) for _, match in found if match})))
    return alignments


def pharaoh_line(links: Iterable[tuple[int, int]]) -> str:
    """Return the links (source word, target word) as a line of Pharaoh text, in their order, without line break."""
    return " ".join(f"{source}-{target}" for source, target in links)
