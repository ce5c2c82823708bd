"""What commands check of files that they are to write."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from seq2seq_fast.streams import is_absent


def check_outputs(outputs: Mapping[str, str | None], *inputs: str | None) -> None:
    """Refuse, before any work, outputs that would replace an input or one another, or that cannot be written.

    Args:
        outputs: the files by their flags, without dashes.
        inputs: the files that the command reads.

    Raises:
        InputError: one is refused.
    """
    from seq2seq_fast.data import InputError
    from seq2seq_fast.files import is_replaced

    taken = {os.path.realpath(name): "the files to read" for name in inputs if name is not None}
    for flag, output in outputs.items():
        if output is None:
            continue
        if output == "-":
            raise InputError(f"--{flag} - is no file: name one (./- is the file with that name)")
        if os.path.isdir(output):
            raise InputError(f"--{flag} {output} is a folder: name a file")
        if not is_replaced(output):  # a device, say, may be named twice
            if not os.access(output, os.W_OK):
                raise InputError(f"--{flag} {output}: may not be written")
            continue
        place = os.path.realpath(output)
        if place in taken:
            raise InputError(f"--{flag} {output} is one of {taken[place]}: choose another name")
        folder = os.path.dirname(place)
        if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
            raise InputError(f"--{flag} {output}: {folder} is no folder that can be written to")
        if os.path.exists(place) and not os.access(place, os.W_OK):
            raise InputError(f"--{flag} {output}: is read-only: choose another name")
        taken[place] = "the files to write already"


def check_standard_output() -> None:
    """Refuse, before any work, to write to a standard output that the process was started without.

    Raises:
        InputError: it is absent.
    """
    from seq2seq_fast.data import InputError

    if is_absent(sys.stdout):
        raise InputError("standard output is closed: there is nowhere to write to")
