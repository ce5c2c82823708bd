import xml.etree.ElementTree

import pytest
import torch

from benchmarks import results
from benchmarks.__main__ import current_device, main
from benchmarks.quietness import Watch, share_warning
from benchmarks.results import Row
from seq2seq_fast.cases import race


def run(folder, *more):
    chosen = ["--workload", "gru_gates", "lstm_gates", "--scale", "32", "--seconds", "0.01", "--baseline", "eager"]
    return main([*chosen, "--output", str(folder), *more])


def test_a_run_prints_tables_and_writes_figures_with_their_origin(tmp_path, capsys):
    assert run(tmp_path, "--targets") == 0
    printed = capsys.readouterr().out
    for expected in ("gru_gates/80x1024", "one pass over the bytes", "eager/this", "this/limit", "first call", "met"):
        assert expected in printed
    rows, about = results.read(tmp_path)
    assert {row.workload for row in rows} == {"gru_gates/80x1024", "lstm_gates/80x1024"}
    assert {"machine", "versions", "date", "commit", "workloads"} <= set(about)
    assert about["workloads"]["gru_gates/80x1024"]["float32"]["first_call_seconds"]["eager"]["training"] > 0


QUICK = ("--workload", "gru_gates", "--seconds", "0.01", "--baseline", "eager", "--pass", "forward")


def test_a_run_keeps_the_figures_of_other_workloads(tmp_path):
    run(tmp_path)
    before = [row for row in results.read(tmp_path)[0] if row.workload.startswith("lstm")]
    assert main([*QUICK, "--scale", "32", "--output", str(tmp_path)]) == 0
    rows, about = results.read(tmp_path)
    assert [row for row in rows if row.workload.startswith("lstm")] == before
    assert {row.passed for row in rows if row.workload.startswith("gru")} == {"forward"}
    assert set(about["workloads"]) == {"gru_gates/80x1024", "lstm_gates/80x1024"}


def test_a_run_that_is_cut_short_keeps_the_workloads_it_measured(tmp_path, monkeypatch):
    import benchmarks.__main__ as command

    def cut(workload, settings, measure=command.measure):
        if workload.name.startswith("lstm"):
            raise KeyboardInterrupt
        return measure(workload, settings)

    monkeypatch.setattr(command, "measure", cut)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    assert {row.workload for row in results.read(tmp_path)[0]} == {"gru_gates/80x1024"}


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Results in a folder of the test, with the figures of a machine that this is not."""
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    rows = [
        Row("gru_gates/80x1024", name, "float32", "forward", time, 1, 1, 1, 1)
        for name, time in (("eager", 6000.0), ("cpu", 1000.0), ("reference", 1000.0))
    ]
    other = {"device": "Another", "system": "Linux", "cores": 64, "threads": 64, "cpu_capability": "AVX512"}
    results.write(tmp_path / "another", rows, {"machine": other, "commit": "abc", "workloads": {}})
    return tmp_path


def test_a_machine_gets_a_folder_without_asking_and_stands_beside_the_others(elsewhere, capsys):
    theirs = (elsewhere / "another" / "latest.csv").read_bytes()
    assert main(list(QUICK)) == 0
    (own,) = set(elsewhere.iterdir()) - {elsewhere / "another"}
    about = results.provenance(torch.device("cpu"))
    assert own == results.folder_of(about["machine"]) and results.machine_of(own) == about["machine"]
    assert (elsewhere / "another" / "latest.csv").read_bytes() == theirs
    printed = capsys.readouterr().out
    compared = printed[printed.index("Beside the figures of another") :].splitlines()[2]
    assert "1000 ms" in compared and compared.endswith("6.00x")
    assert main([*QUICK, "--report"]) == 0


def test_figures_of_another_machine_are_refused_before_anything_is_measured(elsewhere, capsys, monkeypatch):
    monkeypatch.setattr("benchmarks.__main__.measure", None)
    with pytest.raises(SystemExit) as raised:
        main([*QUICK, "--output", str(elsewhere / "another")])
    assert raised.value.code == 2
    assert "holds figures of device Another" in capsys.readouterr().err


def test_a_report_without_figures_says_where_it_looked(elsewhere, capsys):
    with pytest.raises(SystemExit):
        main(["--report"])
    assert "holds no figures; name another folder" in capsys.readouterr().err


def test_report_draws_from_the_file_alone(tmp_path, capsys):
    rows = [
        Row(f"source_length/{length}", name, "float32", "both", length / speed, 1, 1, length / speed, 0.5)
        for length in (10, 100, 1000)
        for name, speed in (("eager", 1), ("cpu", 10))
    ]
    rows += [Row("attend/1", name, "float32", "both", time, 1, 1, 1, 0.5) for name, time in (("eager", 2), ("cpu", 1))]
    about = {"machine": {"device": "a machine", "threads": 1}, "commit": "abc"}
    results.write(tmp_path, rows, about)
    assert main(["--report", "--output", str(tmp_path)]) == 0
    assert "10.00x" in capsys.readouterr().out
    for name in ("speed.svg", "source_length.svg"):
        xml.etree.ElementTree.parse(tmp_path / name)
    drawn = (tmp_path / "speed.svg").read_bytes()
    main(["--report", "--output", str(tmp_path)])
    assert (tmp_path / "speed.svg").read_bytes() == drawn


def test_scaled_figures_never_land_among_the_results(capsys):
    with pytest.raises(SystemExit):
        main(["--scale", "2"])
    assert "--output" in capsys.readouterr().err


def test_the_list_names_what_would_run(capsys):
    assert main(["--list", "--workload", "encoder"]) == 0
    assert capsys.readouterr().out.split() == ["encoder/80x15/gru", "encoder/80x15/lstm"]


def test_a_wrong_backend_makes_the_run_fail(tmp_path, monkeypatch):
    monkeypatch.setattr(
        race, "on", lambda operator, backend: lambda inputs, memory: {"hidden": inputs.tensors["hidden"]}
    )
    assert run(tmp_path, "--workload", "gru_gates", "--pass", "forward") == 1


def test_other_processes_are_noticed():
    share = Watch().others_share()
    assert share is None or share >= 0
    assert "40%" in share_warning(0.4)
    assert share_warning(0.0) == ""


def test_a_device_with_a_number_becomes_the_current_one(monkeypatch):
    chosen = []
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    devices = [current_device(name) for name in ("cpu", "cuda", "cuda:1")]
    assert chosen == [torch.device("cuda", 1)] and [str(device) for device in devices] == ["cpu", "cuda", "cuda:1"]
