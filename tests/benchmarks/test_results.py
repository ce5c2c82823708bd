import csv
import json
import math

import torch

from benchmarks import results
from benchmarks.results import COLUMNS, Row

ROW = Row("attend/1", "eager", "float32", "both", 1.25, 1.0, 1.5, 12.5, 0.75)


def test_the_table_has_the_documented_columns(tmp_path):
    results.write(tmp_path, [ROW], {"commit": "abc"})
    with (tmp_path / "latest.csv").open() as file:
        head, line = list(csv.reader(file))
    assert head == ["workload", "backend", "dtype", "pass", "median_ms", "low_ms", "high_ms", "peak_mib", "limit_ms"]
    assert tuple(head) == COLUMNS
    assert line == ["attend/1", "eager", "float32", "both", "1.25", "1", "1.5", "12.5", "0.75"]
    assert json.loads((tmp_path / "latest.json").read_text()) == {"commit": "abc"}


def test_what_was_written_is_read_back(tmp_path):
    unknown = Row("attend/1", "cudagraph", "float32", "both", 1.0, 1.0, 1.0, math.nan, 0.75)
    results.write(tmp_path, [ROW, unknown], {})
    rows, about = results.read(tmp_path)
    assert rows[0] == ROW and about == {}
    assert math.isnan(rows[1].peak_mib)


def test_new_rows_replace_the_old_of_their_workload_and_dtype_in_order():
    other = Row("score/1", "eager", "float32", "both", 1.0, 1.0, 1.0, 1.0, 1.0)
    new = Row("attend/1", "cpu", "float32", "both", 0.5, 0.5, 0.5, 1.0, 0.75)
    gone = Row("gone/1", "eager", "float32", "both", 1.0, 1.0, 1.0, 1.0, 1.0)
    assert results.merge([ROW, other, gone], [new], ["attend/1", "score/1"]) == [new, other]


def test_provenance_names_machine_versions_date_and_commit():
    about = results.provenance(torch.device("cpu"))
    assert about["versions"]["torch"] == torch.__version__
    assert about["machine"]["threads"] == torch.get_num_threads()
    assert about["machine"]["device"]
    assert about["date"] and about["commit"]


MACHINE = {"device": "A (R) CPU @ 2.10GHz", "system": "Linux", "cores": 4, "threads": 2, "cpu_capability": "AVX2"}


def test_a_machines_folder_has_its_name_and_holds_no_other_machines_figures(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    first = results.folder_of(MACHINE)
    assert first == tmp_path / "a-r-cpu-2.10ghz-2-threads-avx2"
    results.write(first, [ROW], {"machine": MACHINE})
    assert results.folder_of(MACHINE) == first
    second = results.folder_of({**MACHINE, "cores": 8})
    assert second == tmp_path / "a-r-cpu-2.10ghz-2-threads-avx2-2"
    assert [name for name, _ in results.of_other_folders(second)] == [first.name]
    assert list(results.of_other_folders(first)) == []


def test_the_committed_figures_lie_where_their_machine_would_write():
    found = sorted(results.FOLDER.glob("*/latest.json"))
    assert found
    for file in found:
        assert results.folder_of(results.machine_of(file.parent)) == file.parent
