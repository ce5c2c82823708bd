import pytest

from benchmarks.registry import SOURCE_LENGTHS, WORKLOADS, select
from benchmarks.targets import TARGETS
from seq2seq_fast.cases import BY_NAME
from seq2seq_fast.cases.sizes import PLACES


def test_every_operator_has_a_workload_whose_figures_are_kept():
    assert set(BY_NAME) <= {workload.operator.name for workload in WORKLOADS if workload.kept}


def test_names_are_unique():
    names = [workload.name for workload in WORKLOADS]
    assert len(names) == len(set(names))


def test_every_target_names_workloads_that_exist():
    for target in TARGETS:
        for glob in target.workloads:
            assert select([glob])


def test_a_name_takes_in_what_is_below_it():
    names = [workload.name for workload in select(["additive_attention/32x50x50x1024"])]
    assert names == ["additive_attention/32x50x50x1024", "additive_attention/32x50x50x1024/no_weights"]
    assert len(select(["source_length"])) == len(SOURCE_LENGTHS)


def test_quick_is_a_proper_part():
    quick = select(quick=True)
    assert quick and len(quick) < len(select())
    assert all(workload.quick for workload in quick)


def test_an_unknown_name_is_an_error_that_lists_the_workloads():
    with pytest.raises(ValueError, match="attend/80x50x1024x2048"):
        select(["no_such_thing"])


def test_scaling_divides_every_size():
    workload = select(["attend"])[0]
    assert dict(workload.scaled(10).case.sizes) == {"batch": 8, "source": 5, "units": 102, "values": 204}


def test_every_operator_runs_at_every_places_sizes_where_they_are_named():
    assert all(workload.kept for workload in select() + select(["attend"]))
    for place in PLACES:
        assert {workload.operator.name for workload in select([f"*/{place}"])} >= set(BY_NAME)
