"""Standard input, output and error, any of which a process may have been started without."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any


def provide_streams() -> None:
    """Give a process the standard streams that it was started without, leading nowhere, and make all of them UTF-8.

    So no file that is opened later gets the number of one, which libraries write to.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = open(os.devnull, mode)  # noqa: SIM115
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)
        with suppress(AttributeError):  # what a program has put in its place
            errors = "backslashreplace" if name == "stderr" else "surrogateescape"
            getattr(sys, name).reconfigure(encoding="utf-8", errors=errors)


def is_absent(stream: Any) -> bool:
    """Whether a process was started without a stream."""
    return stream is None or getattr(stream, "name", None) == os.devnull


def lead_nowhere(stream: Any) -> None:
    """Send all that is still to be written to a stream nowhere, after it could not be written."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
