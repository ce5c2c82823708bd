"""How commands read their lines."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, TypeVar

T = TypeVar("T")


def name_of(path: str) -> str:
    """Return what messages call an input; ``-`` is standard input."""
    return "standard input" if path == "-" else path


def standard_input(endless: Any = "refuse") -> Iterator[str]:
    """Yield the lines of standard input; ``endless`` is as in `read_lines`."""
    from seq2seq_fast.data import InputError
    from seq2seq_fast.data.text import decode_lines

    try:
        yield from decode_lines(sys.stdin.buffer, "standard input", endless)
    except OSError as error:
        raise InputError(f"standard input: cannot be read ({error.strerror or error})") from None


def blocks(lines: Iterator[T], size: int) -> Iterator[list[T]]:
    """Yield so many lines at a time, and those before a line that cannot be read."""
    from seq2seq_fast.data import InputError

    block: list[T] = []
    unreadable: InputError | None = None
    while unreadable is None:
        try:
            line = next(lines, None)
        except InputError as error:
            line, unreadable = None, error
        if line is not None:
            block.append(line)
        if block and (line is None or len(block) == size):
            yield block
            block = []
        if line is None:
            break
    if unreadable is not None:
        raise unreadable
