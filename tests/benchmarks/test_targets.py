import math

from benchmarks.results import Row
from benchmarks.targets import TARGETS, faster, linear, near_limit, smaller, targets_table


def row(workload, backend, median, peak=1.0, limit=1.0, passed="both"):
    return Row(workload, backend, "float32", passed, median, median, median, peak, limit)


def table(*rows):
    return {(r.workload, r.passed, r.backend): r for r in rows}


def test_speed_is_the_baselines_time_over_ours():
    target = faster("w", "both", 3)
    measured = target.measure(table(row("w", "eager", 8.0), row("w", "cpu", 2.0)), "cpu")
    assert measured == 4.0
    assert target.met(4.0) and target.met(3.0) and not target.met(2.9)


def test_distance_from_the_limit_must_be_small():
    target = near_limit("w", "both", 1.1, "its products")
    assert target.measure(table(row("w", "cpu", 3.0, limit=2.0)), "cpu") == 1.5
    assert target.met(1.1) and not target.met(1.2)


def test_memory_is_ours_over_eagers():
    measured = smaller("w", "both", 0.05).measure(
        table(row("w", "eager", 1, peak=100), row("w", "cpu", 1, peak=4)), "cpu"
    )
    assert measured == 0.04


def test_growth_is_the_power_of_the_length():
    rows = table(row("source_length/100", "cpu", 2.0, peak=1.0), row("source_length/1000", "cpu", 20.0, peak=100.0))
    assert math.isclose(linear("median_ms", "time").measure(rows, "cpu"), 1.0)
    assert math.isclose(linear("peak_mib", "memory").measure(rows, "cpu"), 2.0)


def test_what_was_not_measured_is_said_to_be_so():
    for target in TARGETS:
        assert math.isnan(target.measure({}, "cpu"))
    printed = targets_table([], "cpu")
    assert printed.count("not measured") == len(TARGETS)


def test_the_table_says_which_targets_are_met():
    rows = [row("gru_gates/80x1024", name, median, limit=1.0) for name, median in (("eager", 6.0), ("cpu", 1.5))]
    lines = [line for line in targets_table(rows, "cpu").splitlines() if line.strip().startswith("gru_gates")]
    assert [line.split()[-1] for line in lines] == ["yes", "no"]
    assert "6" in lines[1]
