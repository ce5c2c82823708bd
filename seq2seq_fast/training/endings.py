"""How a training ends that does not come to its end: by a signal, without memory, without a worker."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import lightning.pytorch as pl

from seq2seq_fast.data import InputError
from seq2seq_fast.decoding.memory import is_out_of_memory


class Interruption(pl.Callback):
    """Ends a training between two batches: an exception in the midst of one is lost where a destructor runs.

    Attributes:
        asked: whether someone has interrupted it.
        batches: whether there are batches to wait for; who asks twice waits for none.
    """

    asked = batches = False

    def on_train_start(self, *_: Any) -> None:
        self.batches = True

    def on_train_end(self, *_: Any) -> None:
        self.batches = False

    def on_train_batch_start(self, *_: Any) -> None:
        if self.asked:
            raise KeyboardInterrupt

    on_train_batch_end = on_validation_batch_start = on_validation_start = on_train_batch_start


@contextmanager
def told_endings(last: Path) -> Iterator[Interruption]:
    """Say in one line what has ended a training, and how it goes on; give the callback that ends it.

    Args:
        last: the checkpoint of the last validation.

    Raises:
        KeyboardInterrupt: someone has interrupted it, by Ctrl-C or by SIGTERM.
        InputError: there is not enough memory, or a process that helps it was killed.
    """
    interruption = Interruption()
    try:
        with _by_signals(interruption):
            yield interruption
    except SystemExit as ended:
        # Lightning's answers to both signals.
        if not interruption.asked and not isinstance(ended.__context__, KeyboardInterrupt):
            raise
        raise KeyboardInterrupt(f"interrupted{_goes_on(last)}") from None
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted{_goes_on(last)}") from None
    except (MemoryError, BrokenProcessPool, RuntimeError) as error:
        reason = " ".join(str(error).split())
        if is_out_of_memory(error):
            raise InputError(
                f"there is not enough memory ({reason[:150] or 'MemoryError'}): lower data.batch_tokens, "
                f"data.max_length or the model's sizes{_goes_on(last)}"
            ) from error
        if isinstance(error, BrokenProcessPool) or "DataLoader worker" in reason:
            raise InputError(
                f"a process of data.workers was killed, by want of memory perhaps ({reason[:150]}): give fewer of "
                f"them{_goes_on(last)}"
            ) from error
        raise


def _goes_on(last: Path) -> str:
    return f"; --training.resume=true goes on from {last}" if last.exists() else ""


@contextmanager
def _by_signals(interruption: Interruption) -> Iterator[None]:
    """Have Ctrl-C and SIGTERM end a training in the same way."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    usual: dict[int, Any] = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    mine = [number for number in numbers if signal.getsignal(number) == usual[number]]
    if threading.current_thread() is not threading.main_thread():
        mine = []
    owner = os.getpid()

    def end(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:  # a worker, forked from here, ends without a word
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        if interruption.asked or not interruption.batches:
            raise KeyboardInterrupt
        interruption.asked = True

    for number in mine:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in mine:
            signal.signal(number, usual[number])
