"""Locks of files that end with the process that holds them, however it ends."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Callable, Iterator
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
def locked(path: Path, waiting: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold the lock of a file, which is made where it is missing and stays.

    Args:
        waiting: is told who holds the lock, before this waits for it. Without it, a lock that is held is an error.

    Raises:
        Taken: another process holds it.
        OSError: the file cannot be opened.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    _held.add(handle)
    try:
        _take(handle, waiting)
        _name_holder(handle, f"process {os.getpid()} on {socket.gethostname()}\n")
        try:
            yield
        finally:
            if handle in _held:
                _name_holder(handle, "")
    finally:
        if handle in _held:  # a forked process has closed it, and its number may be another file's by now
            _held.discard(handle)
            with suppress(OSError):
                os.close(handle)


def _take(handle: int, waiting: Callable[[str], None] | None) -> None:
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 300, 0).decode(errors="replace").strip() or "another process"
            if waiting is None:
                raise Taken(holder) from None
            waiting(holder)
            fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError as error:
        # Some network file systems know no locks: better none than no work.
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
            raise


def _name_holder(handle: int, name: str) -> None:
    os.ftruncate(handle, 0)
    os.pwrite(handle, name.encode(), 0)
