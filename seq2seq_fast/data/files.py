"""Files to write, and what to say where they cannot be."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from seq2seq_fast.data.errors import InputError
from seq2seq_fast.files import whole


def cannot_write(path: str | Path, error: Exception) -> InputError:
    """Return the error to raise where writing has failed: it names the path and says what to do."""
    reason = error.strerror or str(error) if isinstance(error, OSError) else str(error)
    full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    no_room = isinstance(error, OSError) and error.errno in full
    return InputError(f"{path}: cannot be written ({reason}){': make room or choose another place' * no_room}")


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """`whole`, for files that a person has named.

    Raises:
        InputError: it cannot be written, since the disk is full, say.
    """
    try:
        with whole(path) as partial:
            yield partial
    except OSError as error:
        raise cannot_write(path, error) from error


def write_lines(path: str | Path, lines: Iterable[str]) -> None:
    """Write lines as UTF-8, whole or not at all."""
    with whole_file(path) as partial, partial.open("w", encoding="utf-8") as stream:
        stream.writelines(f"{line}\n" for line in lines)
