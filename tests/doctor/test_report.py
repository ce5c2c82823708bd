import json
import math
import os

import pytest

from seq2seq_fast.cases.comparison import Comparison
from seq2seq_fast.doctor import report
from seq2seq_fast.doctor.environment import describe
from seq2seq_fast.doctor.results import Check, Findings, Timing


@pytest.fixture
def findings():
    near = Comparison("context", "batch 3, masked", 1e-7, 1e-6)
    wrong = Comparison("weights", "batch 3", math.inf, 0.0, "NaN or infinite where truth is finite")
    found = Findings(describe(), {"device": "cpu", "quick": True, "timings": True}, seconds=3.0)
    found.checks = [
        Check("reference", "attend", "float32", "outputs", near, compared=4),
        Check("cpu", "attend", "float32", "outputs", wrong, (wrong,), compared=4),
        Check("cpu", "gru_cell", "float16", "gradients", None, error="RuntimeError: a | b"),
    ]
    found.timings = [Timing("attend", "forward", "eager", 1.5, 1.0, 2.0, 9, 0.01, math.nan)]
    found.timed_at = {"attend": "batch 16"}
    found.leave_out("backend cuda", "not built: no nvcc")
    return found


def test_the_json_is_valid_and_holds_everything(findings, tmp_path):
    _, path = report.write(findings, tmp_path / "report.md")

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    read = json.loads(path.read_text(), parse_constant=refuse)
    assert read["format"] == report.FORMAT and read["healthy"] is False
    assert [check["passed"] for check in read["checks"]] == [True, False, False]
    assert read["checks"][0]["worst"] == {
        "tensor": "context", "where": "batch 3, masked", "error": 1e-7, "allowed": 1e-6, "remark": "",
    }  # fmt: skip
    assert read["checks"][1]["worst"]["error"] is None
    assert read["checks"][2]["error"] == "RuntimeError: a | b"
    assert read["timings"][0]["median_ms"] == 1.5 and read["timings"][0]["speedup"] is None
    assert read["not_run"] == [{"what": "backend cuda", "why": "not built: no nvcc"}]
    assert read["environment"] == json.loads(json.dumps(findings.environment))


def test_the_markdown_tells_failures_first_and_everything_else_after(findings, tmp_path):
    path, _ = report.write(findings, tmp_path / "report.md")
    text = path.read_text()
    assert text.index("2 of 3 checks FAILED") < text.index("## Failed") < text.index("## Environment")
    assert "- cpu: attend: every check\n" in text
    assert "weights: NaN or infinite where truth is finite (batch 3)" in text
    assert "backend cuda: not built: no nvcc" in text
    assert "attend: batch 16" in text and "1.500 ms" in text
    for line in text.splitlines():
        if line.startswith("| reference | attend"):
            assert line.split(" | ")[4:7] == ["1.0e-07", "1.0e-06", "ok"]


def test_every_row_of_a_table_has_as_many_cells_as_its_head(findings):
    rows = [line for line in report.as_markdown(findings, "x.json").splitlines() if line.startswith("| ")]
    cells = [line.replace("\\|", "").count("|") for line in rows]
    heads = [index for index, line in enumerate(rows) if "---" in line]
    assert len(heads) == 4
    for start, end in zip(heads, [*heads[1:], None], strict=True):
        width = cells[start]
        body = cells[start + 1 : None if end is None else end - 1]
        assert set(body) == {width}


@pytest.mark.parametrize("name", ["report", "report.md", "report.json"])
def test_the_two_files_lie_beside_each_other_whatever_ending_is_given(findings, tmp_path, name):
    written = report.write(findings, tmp_path / name)
    assert [path.name for path in written] == ["report.md", "report.json"]
    assert sorted(os.listdir(tmp_path)) == ["report.json", "report.md"]


def test_a_name_with_a_dot_keeps_it(findings, tmp_path):
    assert report.write(findings, tmp_path / "torch2.13")[0].name == "torch2.13.md"


def test_a_report_is_whole_or_as_it_was(findings, tmp_path, monkeypatch):
    report.write(findings, tmp_path / "report")
    before = (tmp_path / "report.json").read_text()

    def fails(*paths):
        raise OSError("disk full")

    findings.checks = []
    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(OSError, match="disk full"):
        report.write(findings, tmp_path / "report")
    assert (tmp_path / "report.json").read_text() == before
    assert sorted(os.listdir(tmp_path)) == ["report.json", "report.md"]


def test_the_default_name_is_of_the_device_and_the_minute():
    environment = {"devices": [{"name": "NVIDIA A100-SXM4 80GB"}], "date": "2031-05-06T07:08:09+00:00"}
    assert str(report.default_path(environment)) == "seq2seq-fast-doctor-nvidia-a100-sxm4-80gb-2031-05-06T0708.md"
