"""Files that are written whole or not at all, where their names lead, and for whom the umask allows."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_LONGEST_NAME = 255  # bytes, on the file systems in use


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """Give the name of a file to write, with the ending of ``path``; its content is that of ``path`` at the end.

    Links are followed. The file takes the place of the one that is meant in one step, and its mode too, so that nobody
    ever sees half of it and after an error what was there still is. What cannot be replaced is written straight, once
    all there is to write is known: a device, a pipe, and what standard output leads to already.

    Raises:
        OSError: it cannot be written.
    """
    path = Path(path)
    opened = _straight(path)
    if opened is not None:
        with tempfile.TemporaryDirectory() as folder:
            partial = Path(folder, f"partial{path.suffix}")
            yield partial
            with partial.open("rb") as source, os.fdopen(opened(), "wb") as sink:
                shutil.copyfileobj(source, sink)
        return
    place = Path(os.path.realpath(path))
    partial = _beside(place)
    try:
        _remove_what_the_killed_left(place)
        partial.unlink(missing_ok=True)
        yield partial
        give_mode(partial, stat.S_IMODE(place.stat().st_mode) if place.exists() else usual_mode(place.parent))
        replace(partial, place)
    finally:
        with suppress(OSError):  # the error that has led here says more
            partial.unlink(missing_ok=True)


def replace(source: Path, place: Path) -> None:
    """Give a file another name in one step; a loss of power leaves there the old one or the new, never a part."""
    sync(source)
    os.replace(source, place)
    sync(place.parent)


def sync(path: Path) -> None:
    """Wait until a file or the names in a folder are on the disk, where the file system knows how."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def usual_mode(folder: Path) -> int:
    """Return the mode that a new file in a folder has, by the umask and the folder's own rules."""
    # Asked of a file: to ask for the umask is to change it, for other threads too.
    probe = folder / f".mode-{os.getpid()}-{threading.get_ident()}"
    handle = os.open(probe, os.O_CREAT | os.O_WRONLY, 0o666)
    try:
        return stat.S_IMODE(os.fstat(handle).st_mode)
    finally:
        os.close(handle)
        probe.unlink()


def give_mode(path: Path, mode: int) -> None:
    """Give a file a mode where it has another: some libraries keep what they write from everyone else."""
    if stat.S_IMODE(path.stat().st_mode) != mode:
        path.chmod(mode)


def is_replaced(path: str | Path) -> bool:
    """Whether `whole` puts a new file in the place of what has this name."""
    return _straight(Path(path)) is None


def _straight(path: Path) -> Callable[[], int] | None:
    """Return what opens a file that cannot be replaced; None for the others, those that are not there among them."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # a stream may be absent, or be no file
            handle = stream.fileno()
            if os.path.samestat(found, os.fstat(handle)):
                stream.flush()
                return lambda: os.dup(handle)
    if stat.S_ISREG(found.st_mode):
        return None
    return lambda: os.open(path, os.O_WRONLY | os.O_TRUNC)


def _beside(place: Path) -> Path:
    """A name of this thread's own beside a file: two that write the same file at once do not meet before its place."""
    return place.with_name(f"{_mark()}-{os.getpid()}-{threading.get_ident()}-{_tail(place)}")


def _mark() -> str:
    # Process numbers are a machine's own, and a folder may be many machines'.
    return f".partial-{hashlib.sha256(os.uname().nodename.encode()).hexdigest()[:8]}"


def _tail(place: Path) -> str:
    """The file's name, or what stands for one that would be too long with all that comes before it."""
    if len(os.fsencode(place.name)) <= _LONGEST_NAME - 64:
        return place.name
    return f"{hashlib.sha256(os.fsencode(place.name)).hexdigest()}{place.suffix[-20:]}"


def _remove_what_the_killed_left(place: Path) -> None:
    """Partial files of this name whose processes, of this machine, have ended."""
    mark, tail = _mark(), f"-{_tail(place)}"
    with suppress(OSError):  # a folder that cannot be listed can still be written to
        for name in os.listdir(place.parent):
            if name.startswith(mark) and name.endswith(tail):
                number = name[len(mark) + 1 :].partition("-")[0]
                if number.isdigit() and not _lives(int(number)):
                    place.with_name(name).unlink(missing_ok=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        pass
    return True
