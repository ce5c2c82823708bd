import importlib
import io
import json
import os
import runpy
import subprocess
import sys
from functools import partial

import pytest
import torch

import seq2seq_fast.cli
from seq2seq_fast.cases.lstm_cell import LSTMCell
from seq2seq_fast.cases.sizes import PLACES
from seq2seq_fast.doctor import command, examine, main
from seq2seq_fast.doctor.console import Console
from tests.doctor.backends import backend_for_tests

HEAVY = ("lightning", "sentencepiece", "sacrebleu", "matplotlib", "jsonargparse", "tensorboard", "datasets", "pandas")
without_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")


@pytest.fixture(autouse=True)
def only_shipped_backends(monkeypatch):
    """The command examines what a user has: backends that other tests have registered are out of its sight."""
    shipped = {n: s for n, s in seq2seq_fast.backends().items() if n in ("reference", "cpu", "triton", "cuda")}
    monkeypatch.setattr(importlib.import_module("seq2seq_fast.ops.backends"), "_BACKENDS", shipped)


@pytest.fixture(autouse=True)
def one_small_operator(monkeypatch):
    monkeypatch.setattr(command, "Plan", partial(examine.Plan, operators=(LSTMCell(),)))
    small = PLACES["small"]
    monkeypatch.setitem(PLACES, "small", small._replace(sizes=dict.fromkeys(small.sizes, 3)))


def test_a_healthy_installation_exits_0_with_a_complete_report(tmp_path, capsys):
    with backend_for_tests() as backend:
        assert main(["--device", "cpu", "--quick", "--report", str(tmp_path / "found.md")]) == 0
    said, complained = capsys.readouterr()
    assert complained == ""
    for heading in ("Environment", "Backends", "Checks on cpu", "Timings on cpu", "Not run", "Result"):
        assert f"\n{heading}\n" in said
    assert "checks passed on cpu, backends checked: reference, for_tests" in said
    assert str(tmp_path / "found.md") in said
    read = json.loads((tmp_path / "found.json").read_text())
    assert read["healthy"] and read["options"] == {"device": "cpu", "quick": True, "timings": True}
    assert {check["backend"] for check in read["checks"]} == {"reference", backend}
    assert {check["name"] for check in read["checks"]} >= {"outputs", "gradients", "same bits twice"}
    assert {timing["contender"] for timing in read["timings"]} == {"eager", backend}
    not_run = {left_out["what"]: left_out["why"] for left_out in read["not_run"]}
    assert not_run[f"backend {backend} in bfloat16"] == "serves float32, float64, not torch.bfloat16"
    assert any("torch.compile" in what for what in not_run)


def test_a_broken_backend_exits_1_and_is_named(tmp_path, capsys):
    with backend_for_tests(backward=lambda gates: gates * 1.01) as backend:
        assert main(["--device", "cpu", "--quick", "--no-timings", "--report", str(tmp_path / "found")]) == 1
    said = capsys.readouterr().out
    assert "FAILED on cpu" in said and f"{backend}: lstm_cell: gradients (float64, float32)" in said
    assert "gradient of weight_ih: off by" in said
    assert "timings: --no-timings leaves them out" in said
    assert not json.loads((tmp_path / "found.json").read_text())["healthy"]


def test_an_unusable_backend_is_not_run_and_its_reason_is_told(capsys):
    with backend_for_tests(usable=False, reason="built for torch 2.0") as backend:
        assert main(["--device", "cpu", "--quick", "--no-timings"]) == 0
    said = capsys.readouterr().out
    assert f"backend {backend}: built for torch 2.0" in said
    assert "only eager PyTorch was examined" in said


def test_an_interrupted_run_tells_what_it_has_found_and_exits_130(tmp_path, capsys):
    def interrupt(hidden):
        raise KeyboardInterrupt

    with backend_for_tests(forward=interrupt):
        assert main(["--device", "cpu", "--quick", "--report", str(tmp_path / "found")]) == 130
    assert "interrupted from the keyboard" in capsys.readouterr().out
    read = json.loads((tmp_path / "found.json").read_text())
    assert read["interrupted"] and {check["backend"] for check in read["checks"]} == {"reference"}


@without_cuda
def test_a_machine_without_cuda_is_served_on_its_cpu_and_told_why_not_on_cuda(capsys):
    assert main(["--quick", "--no-timings"]) == 0
    assert "Checks on cpu" in capsys.readouterr().out
    assert main(["--device", "cuda"]) == 2
    complained = capsys.readouterr().err
    assert complained.startswith("seq2seq-fast doctor: error: --device cuda: ") and complained.count("\n") == 1


def test_a_report_that_cannot_be_written_is_one_line_before_any_work(tmp_path, capsys):
    assert main(["--report", str(tmp_path / "nowhere" / "report.md")]) == 2
    assert main(["--report", str(tmp_path)]) == 2
    said, complained = capsys.readouterr()
    assert said == "" and complained.count("\n") == 2
    assert "there is no folder" in complained and "is a folder, a file is wanted" in complained


def test_it_runs_as_a_module(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["doctor", "--help"])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_module("seq2seq_fast.doctor", run_name="__main__")
    assert "--no-timings" in capsys.readouterr().out


def test_wrong_arguments_are_one_line(capsys):
    assert main(["--device", "tpu"]) == 2
    assert main(["--fast"]) == 2
    said, complained = capsys.readouterr()
    assert said == "" and complained.count("\n") == 2
    assert "argument --device: invalid choice: 'tpu'" in complained and "unrecognized arguments: --fast" in complained


def test_the_command_line_hands_over_and_gives_its_exit_code(capsys):
    assert seq2seq_fast.cli.main(["doctor", "--device", "tpu"]) == 2
    assert "seq2seq-fast doctor: error" in capsys.readouterr().err
    assert "doctor" in seq2seq_fast.cli.build_parser().format_help()


def test_a_device_that_cannot_go_on_ends_the_run(monkeypatch):
    def fails(device):
        raise RuntimeError("CUDA error: an illegal memory access was encountered\nmore")

    monkeypatch.setattr(torch.cuda, "synchronize", fails)
    with pytest.raises(examine.DeviceLost, match="after cuda, attend: RuntimeError: CUDA error: an illegal"):
        examine._stop_if_lost(torch.device("cuda"), "cuda, attend")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_is_for_terminals_and_a_line_takes_its_place(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    out, err = Terminal(), Terminal()
    console = Console(out, err)
    console.progress("check 1")
    console.line("done")
    assert out.getvalue() == "done\n"
    assert err.getvalue().startswith("\r\x1b[K... check 1") and err.getvalue().endswith("\r\x1b[K")
    quiet = io.StringIO()
    Console(io.StringIO(), quiet).progress("check 1")
    assert quiet.getvalue() == ""


def test_it_imports_torch_alone_and_a_reader_that_has_gone_is_no_error_message():
    program = (
        "import sys; from seq2seq_fast.doctor import main; code = main(['--quick', '--no-timings']);"
        f"print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr); sys.exit(code)"
    )
    read, write = os.pipe()
    os.close(read)
    found = subprocess.run([sys.executable, "-c", program], stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (found.returncode, found.stderr) == (130, "[]\n")
