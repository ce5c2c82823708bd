"""Where a verdict comes from: the file, or one process's trial while others wait for it."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from seq2seq_fast.certificate.subject import Subject
from seq2seq_fast.certificate.trial import CannotTry, Limits, Progress, try_tasks
from seq2seq_fast.certificate.verdict import Task, Verdict, read, write
from seq2seq_fast.locks import Taken, locked
from seq2seq_fast.progress import tell
from seq2seq_fast.streams import is_absent

_trusting = 0
_forked = False
_trying = threading.Lock()


def _after_fork() -> None:
    global _forked, _trying
    _forked, _trying = True, threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def trusting() -> Iterator[None]:
    """Serve everything without a verdict, in the whole process: for those who find one out."""
    global _trusting
    _trusting += 1
    try:
        yield
    finally:
        _trusting -= 1


def trusted() -> bool:
    return _trusting > 0


def may_try() -> bool:
    """Whether this process may start a trial: not where it was forked, and not where the environment forbids it."""
    forbidden = os.environ.get("SEQ2SEQ_FAST_CERTIFY", "").strip().lower() in ("0", "false", "off", "no", "n")
    return not (forbidden or _forked or not sys.executable or multiprocessing.current_process().daemon)


def obtain(
    subject: Subject, tasks: Sequence[Task], command: Sequence[str], *, again: bool = False,
    progress: Progress | None = None, limits: Limits | None = None,
) -> Verdict | None:  # fmt: skip
    """The verdict that is kept of a subject, or else that of a trial, which is kept then.

    Of several processes that want it one tries and the others wait.

    Args:
        tasks: what is tried.
        command: of the child that tries, see :mod:`seq2seq_fast.certificate.trial`.
        again: try even where there is a verdict.
        progress: is told what is being tried; by default standard error is.
        limits: of the trial's time.

    Returns:
        None where nothing could be tried; a warning says why.
    """
    limits = limits or Limits()
    with _trying:
        found = None if again else read(subject)
        if found is not None:
            return found
        try:
            return _in_turn(subject, again, limits, lambda: _tried(subject, tasks, command, progress, limits))
        except CannotTry as error:
            _warn(f"{subject.backend} could not be tried on {subject}, so others serve its calls: {error}")
            return None


def _in_turn(subject: Subject, again: bool, limits: Limits, tried: Callable[[], Verdict]) -> Verdict:
    """What a trial gives, or another process's that has ended meanwhile."""
    lock = subject.path.with_suffix(".lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return _unkept(tried(), error)
    end = time.monotonic() + limits.start + limits.all + limits.task
    while True:
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(lock))
            except Taken as holder:
                if time.monotonic() > end:
                    raise CannotTry(f"{holder}, which tries it, does not come to an end") from None
                time.sleep(0.1)
                continue
            except OSError as error:  # of the lock alone
                return _unkept(tried(), error)
            found = None if again else read(subject)
            if found is None:
                found = tried()
                try:
                    write(found)
                except OSError as error:
                    return _unkept(found, error)
            return found


def _unkept(verdict: Verdict, error: OSError) -> Verdict:
    _warn(f"the verdict on {verdict.subject} is this process's alone, because it cannot be kept: {error}")
    return verdict


def _tried(
    subject: Subject, tasks: Sequence[Task], command: Sequence[str], progress: Progress | None, limits: Limits
) -> Verdict:
    began = time.monotonic()
    if progress is None:
        tell(f"seq2seq_fast: trying {subject.backend} on {subject.device}, once for these versions: up to a minute")
    results = try_tasks(tasks, command, progress or _overwrite, limits)
    verdict = Verdict(subject, results)
    if progress is None:
        _overwrite("")
        right = sum(why == "" for why in results.values())
        seconds = time.monotonic() - began
        tell(f"seq2seq_fast: {right} of {len(results)} tries were right, {seconds:.0f} seconds; kept for next time")
    return verdict


def _overwrite(text: str) -> None:
    """Say on a terminal what is being tried, in place of what was said before."""
    if not is_absent(sys.stderr) and sys.stderr.isatty():
        print(f"\r\x1b[K{text[:79]}", end="", file=sys.stderr, flush=True)


def warn_of(verdict: Verdict, *tasks: Task) -> None:
    """Name what has failed of these tasks or of all, and what to do."""
    failed = verdict.failures(*tasks)
    if failed:
        told = "; ".join(f"{task}: {why}" for task, why in failed.items())
        _warn(
            f"{verdict.subject.backend} was wrong on {verdict.subject}, so others serve these calls: {told}. "
            f"`seq2seq-fast doctor` tries it again and writes a report"
        )


def _warn(text: str) -> None:
    warnings.warn(f"seq2seq_fast: {text}", stacklevel=2)
