import pytest

from seq2seq_fast.cases.clock import CPUClock, interleave, summary


def test_each_round_starts_with_another_contender_and_runs_each_once():
    order = []
    contenders = {name: lambda turn, name=name: [lambda: order.append(f"{name}{turn}")] for name in "abc"}
    samples = interleave(contenders, CPUClock(), seconds=0)
    rounds = ["".join(order[i : i + 3]) for i in range(0, len(order), 3)]
    assert rounds == ["a0b0c0", "a0b0c0", "b1c1a1", "c2a2b2", "a3b3c3", "b4c4a4"]
    assert {len(times) for times in samples.values()} == {5}


def test_the_summary_is_in_milliseconds():
    assert summary([0.001, 0.002, 0.009]) == pytest.approx((2.0, 1.2, 7.6))
