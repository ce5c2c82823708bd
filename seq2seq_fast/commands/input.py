"""How commands read their lines."""

from __future__ import annotations

import os
import select
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")
# Seconds of silence after which whoever writes is taken to wait for an answer.
_PAUSE = 0.05


def name_of(path: str) -> str:
    """Return what messages call an input; ``-`` is standard input."""
    return "standard input" if path == "-" else path


class StandardInput:
    """The lines of standard input, and whether the next is at hand."""

    def __init__(self) -> None:
        self._arriving = _arriving()

    def at_hand(self) -> bool:
        """Whether another line, or the end, is there; a terminal or a pipe that is silent has none."""
        return not sys.stdin.isatty() if self._arriving is None else self._arriving.at_hand()

    def lines(self, endless: Any = "refuse") -> Iterator[str]:
        """Yield the lines; ``endless`` is as in `read_lines`."""
        from seq2seq_fast.data import InputError
        from seq2seq_fast.data.text import decode_lines

        stream: Any = self._arriving or sys.stdin.buffer
        try:
            yield from decode_lines(stream, "standard input", endless)
        except OSError as error:
            raise InputError(f"standard input: cannot be read ({error.strerror or error})") from None


def _arriving() -> _Arriving | None:
    """What reads a terminal, pipe or socket; None for a file, and where a system cannot wait for all of them."""
    with suppress(OSError, ValueError, AttributeError):  # what a program has put in the place of standard input
        descriptor = sys.stdin.fileno()
        if os.name == "posix" and not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return _Arriving(descriptor)
    return None


class _Arriving:
    """Reads lines of a descriptor no further than they have come."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._ended = descriptor, False
        self._come = bytearray()

    def readline(self, most: int) -> bytes:
        """Return the next line, or its first ``most`` bytes; nothing at the end."""
        while (end := self._come.find(b"\n", 0, most)) < 0 and len(self._come) < most and not self._ended:
            self._read()
        size = end + 1 if end >= 0 else most
        line = bytes(self._come[:size])
        del self._come[:size]
        return line

    def at_hand(self) -> bool:
        """Whether a whole line or the end has come, or comes without a pause."""
        while b"\n" not in self._come and not self._ended:
            if not select.select([self._descriptor], [], [], _PAUSE)[0]:
                return False
            self._read()
        return True

    def _read(self) -> None:
        come = os.read(self._descriptor, 2**16)
        self._come += come
        self._ended = not come


def blocks(lines: Iterator[T], size: int, at_hand: Callable[[], bool] = lambda: True) -> Iterator[list[T]]:
    """Yield so many lines at a time, those that there are while no other is at hand, and those before an unreadable."""
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
        if block and (line is None or len(block) == size or not at_hand()):
            yield block
            block = []
        if line is None:
            break
    if unreadable is not None:
        raise unreadable
