"""What watches a training."""

from types import SimpleNamespace

import pytest

from seq2seq_fast.training import callbacks
from seq2seq_fast.training.callbacks import TokensPerSecond


class Clock:
    """A clock that moves only when it is told to."""

    def __init__(self):
        self.now = 1000.0

    def perf_counter(self):
        return self.now

    def monotonic(self):
        return self.now


class Tokens:
    """A count on a device that has queued work: it is known when that is done."""

    def __init__(self, clock, count, queued=0.0):
        self._clock, self._count, self._queued = clock, count, queued

    def __radd__(self, other):
        if isinstance(other, Tokens):
            return Tokens(self._clock, other._count + self._count, other._queued + self._queued)
        return Tokens(self._clock, other + self._count, self._queued)

    __add__ = __radd__

    def __int__(self):
        self._clock.now += self._queued
        return self._count


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(callbacks, "time", clock)
    return clock


@pytest.fixture
def watch():
    """A callback, and the speeds that it has logged."""
    callback, logged = TokensPerSecond(window=4), []
    module = SimpleNamespace(log=lambda name, value, **_: logged.append(value))
    return SimpleNamespace(callback=callback, module=module, logged=logged)


def batch(clock, watch, seconds, tokens, queued=0.0):
    clock.now += seconds
    watch.callback.on_train_batch_end(None, watch.module, {"tokens": Tokens(clock, tokens, queued)}, None, 0)


def test_the_first_speeds_come_soon_and_all_have_the_time_between_the_batches(clock, watch):
    watch.callback.on_train_start(None, None)
    for _ in range(7):  # read after 1, 3 and 7 batches
        batch(clock, watch, seconds=2.0, tokens=100)
    assert watch.logged == [50.0] * 7
    for seconds in (1.0, 1.0, 7.0, 1.0):  # one waits for its data
        batch(clock, watch, seconds, tokens=100)
    assert watch.logged[7:] == [50.0, 50.0, 50.0, 40.0]


def test_what_the_device_still_works_on_counts(clock, watch):
    watch.callback.on_train_start(None, None)
    batch(clock, watch, seconds=0.1, tokens=100, queued=1.9)
    batch(clock, watch, seconds=0.1, tokens=100, queued=1.9)
    batch(clock, watch, seconds=0.1, tokens=100, queued=1.9)
    assert watch.logged == pytest.approx([50.0] * 3)


def test_validation_and_what_lies_between_epochs_do_not_count(clock, watch):
    callback = watch.callback
    callback.on_train_epoch_start(None, None)
    for _ in range(5):
        batch(clock, watch, seconds=2.0, tokens=100, queued=0.0)
    callback.on_validation_start(None, None)
    clock.now += 500.0
    callback.on_validation_end(None, None)
    batch(clock, watch, seconds=2.0, tokens=100)
    callback.on_train_epoch_end(None, None)
    clock.now += 70.0
    callback.on_train_epoch_start(None, None)
    batch(clock, watch, seconds=2.0, tokens=100)
    assert watch.logged == [50.0] * 7
