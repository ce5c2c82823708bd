"""What commands check of files that they are to write."""

from __future__ import annotations

import os


def check_output(flag: str, output: str | None, *inputs: str | None) -> None:
    """Refuse, before any work, an output that would replace an input or cannot be written."""
    from seq2seq_fast.data import InputError

    if output is None:
        return
    if any(name is not None and os.path.realpath(output) == os.path.realpath(name) for name in inputs):
        raise InputError(f"--{flag} {output} is one of the files to read: choose another name")
    folder = os.path.dirname(os.path.abspath(output))
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
        raise InputError(f"--{flag} {output}: {folder} is no folder that can be written to")
