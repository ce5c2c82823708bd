import itertools

import pytest
import torch

from benchmarks import registry, runner
from benchmarks.runner import Settings, measure
from seq2seq_fast.cases import Inputs
from seq2seq_fast.cases.race import Contender


class CountingClock:
    """Each phase takes a second longer than the one before."""

    def __init__(self):
        self.ticks = itertools.count(1)

    def seconds(self, phases):
        for phase in phases:
            phase()
        return [float(next(self.ticks)) for _ in phases]

    def peak_mib(self, phase):
        phase()
        return 3.0


def settings(**changed):
    plain = {
        "device": torch.device("cpu"), "dtype": torch.float32, "passes": ("forward", "backward", "both"),
        "baselines": ("eager",), "backends": ("reference",), "seconds": 0.0,
    }  # fmt: skip
    return Settings(**{**plain, **changed})


@pytest.fixture
def workload():
    return registry.select(["attend"])[0].scaled(32)


def test_every_pass_of_every_contender_becomes_a_row(workload):
    measured = measure(workload, settings())
    assert {(row.backend, row.passed) for row in measured.rows} == {
        (name, passed) for name in ("eager", "reference") for passed in ("forward", "backward", "both")
    }
    for row in measured.rows:
        assert 0 < row.low_ms <= row.median_ms <= row.high_ms
        assert row.limit_ms > 0
        assert row.dtype == "float32"
    assert set(measured.first_call_seconds) == {"eager", "reference"}
    assert measured.failures == {}


def test_both_is_the_sum_of_the_two_phases_of_a_training_step(workload):
    rows = measure(workload, settings(baselines=()), clock=CountingClock()).rows
    forward, backward, both = (next(row for row in rows if row.passed == p) for p in ("forward", "backward", "both"))
    assert both.median_ms == 2 * backward.median_ms - 1e3
    assert forward.peak_mib == 3.0


def test_a_contender_that_is_wrong_is_named_and_not_timed(workload):
    def eager(inputs, memory):
        return workload.operator.eager(inputs)

    wrong = Contender("wrong", lambda i, memory: {name: 2 * t for name, t in eager(i, memory).items()})
    measured = measure(workload, settings(), rivals=[wrong, Contender("eager", eager, is_baseline=True)])
    assert "off by" in measured.failures["wrong"]
    assert {row.backend for row in measured.rows} == {"eager"}


def test_only_the_passes_asked_for_are_run(workload):
    measured = measure(workload, settings(passes=("forward",)))
    assert {row.passed for row in measured.rows} == {"forward"}
    assert set(measured.rounds) == {"inference"}


def test_cold_inputs_overflow_the_cache(workload, monkeypatch):
    inputs = Inputs({"keys": torch.zeros(1000)})
    monkeypatch.setattr(runner, "cache_bytes", lambda device: 10_000)
    assert runner._sets_wanted(workload, inputs, torch.device("cpu")) == 5
    monkeypatch.setattr(runner, "cache_bytes", lambda device: 100)
    assert runner._sets_wanted(workload, inputs, torch.device("cpu")) == 2


def test_a_training_step_moves_the_weights_after_its_check_only():
    training = registry.select(["training_step"])[0].scaled(32)
    measured = measure(training, settings())
    assert measured.failures == {}
    assert {row.backend for row in measured.rows} == {"eager", "reference"}
