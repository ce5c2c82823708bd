"""What long work says of itself on standard error: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import re
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, TypeVar

from seq2seq_fast.streams import is_absent, lead_nowhere

T = TypeVar("T")
_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def tell(line: str, stream: TextIO | None = None) -> None:
    """Write a line about work, on standard error by default. Where nobody can hear it, the work goes on unheard."""
    stream = sys.stderr if stream is None else stream
    # A name with signs that steer a terminal is shown, not obeyed.
    line = _STEERING.sub(lambda sign: f"\\x{ord(sign[0]):02x}", line)
    try:
        if stream is not None:
            print(line, file=stream, flush=True)
    except (OSError, ValueError):  # the reader has gone, the disk is full, the stream is closed
        lead_nowhere(stream)


@contextmanager
def told_warnings() -> Iterator[None]:
    """Tell what is warned of in one line each."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        tell(f"seq2seq-fast: warning: {warning.message}")


class Progress:
    """Counts what is done; a context manager.

    Args:
        what: the work, one or two words.
        unit: what is counted, in the plural.
        total: how many there will be, where that is known.
        shown: False says nothing.
        every: seconds between two lines where standard error is no terminal; shorter work says nothing there.
    """

    def __init__(
        self, what: str, unit: str, total: int | None = None, *, shown: bool = True, every: float = 60.0
    ) -> None:
        self._what, self._unit, self._total, self._every = what, unit, total, every
        self._done = 0
        self._began = self._told = time.monotonic()
        on_terminal = not is_absent(sys.stderr) and sys.stderr.isatty()
        self._lines = shown and not on_terminal
        self._bar: Any = None
        if shown and on_terminal:
            from tqdm import tqdm

            self._bar = tqdm(total=total, desc=what, unit=f" {unit}", unit_scale=True, leave=False, dynamic_ncols=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    @property
    def done(self) -> int:
        """How many have been counted."""
        return self._done

    def add(self, count: int = 1) -> None:
        """Count what has been done since the last call."""
        self._done += count
        if self._bar is not None:
            self._bar.update(count)
        elif self._lines and (now := time.monotonic()) - self._told >= self._every:
            self._told = now
            of = "" if self._total is None else f" of {self._total:,}"
            speed = self._done / (now - self._began)
            tell(f"{self._what}: {self._done:,}{of} {self._unit}, {speed:,.0f} a second")

    def over(self, items: Iterable[T]) -> Iterator[T]:
        """Yield the items; each is counted when the next is asked for."""
        for item in items:
            yield item
            self.add()
