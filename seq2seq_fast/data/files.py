"""Files that appear under their names only when they are complete."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from seq2seq_fast.data.errors import InputError


def cannot_write(path: str | Path, error: Exception) -> InputError:
    """Return the error to raise where writing has failed: it names the path and says what to do."""
    reason = error.strerror or str(error) if isinstance(error, OSError) else str(error)
    full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    no_room = isinstance(error, OSError) and error.errno in full
    return InputError(f"{path}: cannot be written ({reason}){': make room or choose another place' * no_room}")


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Give the name of a file to write beside ``path``, with its ending; it takes the place of ``path`` at the end.

    After an error nothing is left of it, and what ``path`` held before is still there.

    Raises:
        InputError: it cannot be written, since the disk is full, say.
    """
    path = Path(path)
    partial = path.with_name(f".partial-{path.name}")
    try:
        yield partial
        os.replace(partial, path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        partial.unlink(missing_ok=True)


def write_lines(path: str | Path, lines: Iterable[str]) -> None:
    """Write lines as UTF-8, whole or not at all."""
    with whole_file(path) as partial, partial.open("w", encoding="utf-8") as stream:
        stream.writelines(f"{line}\n" for line in lines)
