"""Word alignments as Pharaoh text: a line for each pair, ``0-0 2-1`` linking source words 0 and 2 to words 0 and 1."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from seq2seq_fast.data.errors import InputError
from seq2seq_fast.data.text import read_lines

Links = tuple[tuple[int, int], ...]
_LINK = re.compile(r"(\d{1,9})-(\d{1,9})")
_GOLD_LINK = re.compile(r"(\d{1,9})([-?p])(\d{1,9})")


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


class GoldAlignment(NamedTuple):
    """What annotators say of a pair (Och and Ney 2003).

    Attributes:
        sure: the links that are there.
        possible: the links that may be there; the sure ones among them.
    """

    sure: frozenset[tuple[int, int]]
    possible: frozenset[tuple[int, int]]


def read_gold(path: str | Path) -> list[GoldAlignment]:
    """Read annotated links of each line: ``3-4`` is sure, ``3?4`` and ``3p4`` are possible.

    Raises:
        InputError: the file cannot be read or a line holds something else; the message names it.
    """
    alignments = []
    for number, line in enumerate(read_lines(path), start=1):
        sure, possible = set(), set()
        for link in line.split():
            match = _GOLD_LINK.fullmatch(link)
            if match is None:
                raise InputError(
                    f"{path}: line {number}: {link[:40]!r} is no link such as 3-4 (sure) or 3?4 (possible)"
                )
            pair = int(match[1]), int(match[3])
            possible.add(pair)
            if match[2] == "-":
                sure.add(pair)
        alignments.append(GoldAlignment(frozenset(sure), frozenset(possible)))
    return alignments
