"""Locks of files that end with the process that holds them, however it ends."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_held: set[int] = set()


def _let_go() -> None:
    # A lock lives as long as a process has the file open: a worker that outlives its parent must not keep it.
    for handle in _held:
        with suppress(OSError):
            os.close(handle)
    _held.clear()


os.register_at_fork(after_in_child=_let_go)


class Taken(Exception):
    """Another process holds a lock; the message names it."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file, which is made where it is missing and stays.

    Raises:
        Taken: another process holds it.
        OSError: the file cannot be opened.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Taken(os.read(handle, 300).decode(errors="replace").strip() or "another process") from None
        except OSError as error:
            # Some network file systems know no locks: better none than no work.
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                raise
        _held.add(handle)
        os.ftruncate(handle, 0)
        os.write(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        try:
            yield
        finally:
            if handle in _held:  # not in a forked process
                os.ftruncate(handle, 0)
    finally:
        _held.discard(handle)
        with suppress(OSError):
            os.close(handle)
