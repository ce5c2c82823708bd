import pytest
import torch

from seq2seq_fast.cases.clock import CPUClock, CUDAClock, cache_bytes, interleave, summary


def test_each_round_starts_with_another_contender_and_runs_each_once():
    order = []
    contenders = {name: lambda turn, name=name: [lambda: order.append(f"{name}{turn}")] for name in "abc"}
    samples = interleave(contenders, CPUClock(), seconds=0)
    rounds = ["".join(order[i : i + 3]) for i in range(0, len(order), 3)]
    assert rounds == ["a0b0c0", "a0b0c0", "b1c1a1", "c2a2b2", "a3b3c3", "b4c4a4"]
    assert {len(times) for times in samples.values()} == {5}


def test_the_summary_is_in_milliseconds():
    assert summary([0.001, 0.002, 0.009]) == pytest.approx((2.0, 1.2, 7.6))


def test_cache_size_is_known():
    assert cache_bytes(torch.device("cpu")) >= 2**18


def test_cpu_clock_times_each_phase_and_sees_memory_that_was_held_for_a_moment():
    clock = CPUClock()
    assert len(clock.seconds([lambda: None, lambda: None])) == 2
    assert all(second >= 0 for second in clock.seconds([lambda: None]))
    peak = clock.peak_mib(lambda: torch.ones(8 * 2**20).sum())
    assert 30 < peak < 40


def test_cuda_clock_flushes_the_cache_and_reads_an_event_after_each_phase(monkeypatch):
    log = []

    class FakeEvent:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            log.append("event")

        def synchronize(self):
            log.append("synchronize")

        def elapsed_time(self, other):
            return 2.0

    class Flush:
        def zero_(self):
            log.append("flush")

    monkeypatch.setattr(torch.cuda, "Event", FakeEvent)
    clock = CUDAClock.__new__(CUDAClock)
    clock.flush = Flush()
    seconds = clock.seconds([lambda: log.append("a"), lambda: log.append("b")])
    assert seconds == [0.002, 0.002]
    assert log == ["flush", "event", "a", "event", "b", "event", "synchronize"]
