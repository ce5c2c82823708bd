import pytest

from benchmarks.registry import select
from benchmarks.results import Row
from benchmarks.runner import Measured
from benchmarks.tables import workload_table


@pytest.mark.parametrize(
    ("name", "passed", "heading", "rate"),
    [
        # 80 sentences of 15 target positions in a fifth of a second; 64 sentences.
        ("training_step/multi30k", "both", "tokens/s", "6000.0"),
        ("translation/beam5", "forward", "sentences/s", "320.0"),
    ],
)
def test_a_rate_counts_what_a_call_serves(name, passed, heading, rate):
    (workload,) = select([name])
    row = Row(workload.name, "eager", "bfloat16", passed, 200.0, 190.0, 210.0, 12.5, 100.0)
    _, head, line = workload_table(workload, Measured(rows=[row])).splitlines()
    assert head.endswith(heading) and line.endswith(rate)


def test_where_no_rate_makes_sense_there_is_no_column():
    (workload, *_) = select(["additive_attention/32x50x50x1024"])
    row = Row(workload.name, "eager", "float32", "both", 200.0, 190.0, 210.0, 12.5, 100.0)
    assert "/s" not in workload_table(workload, Measured(rows=[row])).splitlines()[1]
