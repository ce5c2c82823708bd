"""The decoder in one launch as a trial tries it, and as the doctor tells of it."""

import importlib
import json
import sys
from functools import partial

import pytest
import torch

import seq2seq_fast
from seq2seq_fast.certificate import Task
from seq2seq_fast.doctor import command, examine, main, trial
from seq2seq_fast.doctor.checks import Target
from seq2seq_fast.ops import one_launch
from tests.support import stand_in
from tests.support.emulated import emulated

CPU = torch.device("cpu")


@pytest.mark.parametrize("way", one_launch.PASSES)
@pytest.mark.parametrize("form", ["gru", "lstm", "rnn"])
def test_the_kernels_that_ship_are_right_in_a_trial(form, way):
    dtype = {"gru": "float32", "lstm": "bfloat16", "rnn": "float16"}[form]
    target = Target(emulated().backend, CPU, getattr(torch, dtype), quick=True)
    assert trial.wrong_with(Task(one_launch.OPERATOR, form, dtype, way), target) == ""


def test_a_kernel_with_a_fault_is_wrong_in_a_trial(monkeypatch):
    engine = importlib.import_module("seq2seq_fast.cuda_kernels.engine").Engine
    launch = engine.launch

    def faulty(self, name, like, *arguments):
        launch(self, name, like, *arguments)
        if name == "attention_decoder_backward":
            arguments[17].mul_(1.01)

    monkeypatch.setattr(engine, "launch", faulty)
    target = Target(emulated().backend, CPU, torch.float32, quick=True)
    wrong = [trial.wrong_with(Task(one_launch.OPERATOR, "gru", "float32", way), target) for way in one_launch.PASSES]
    assert wrong[0] == "" and wrong[1].startswith("gradients: gradient of ")


@pytest.fixture
def offered(monkeypatch, tmp_path):
    """The doctor of a machine whose CPU has a decoder in one launch, tried by children that answer this."""
    monkeypatch.setenv("SEQ2SEQ_FAST_CACHE", str(tmp_path))
    monkeypatch.delenv("SEQ2SEQ_FAST_CERTIFY", raising=False)
    module = importlib.import_module("seq2seq_fast.ops.backends")
    monkeypatch.setattr(module, "_BACKENDS", {"reference": seq2seq_fast.backends()["reference"]})
    stand_in.show()
    monkeypatch.setattr(command, "Plan", partial(examine.Plan, operators=()))

    def offer(*behaviours):
        child = (sys.executable, "-m", "tests.certificate.children", *behaviours)
        monkeypatch.setattr(one_launch, "_CANDIDATES", {"cpu": stand_in.candidate(command=child)})

    return offer


def doctor(tmp_path):
    status = main(["--device", "cpu", "--quick", "--no-timings", "--report", str(tmp_path / "found")])
    return status, json.loads((tmp_path / "found.json").read_text())


def test_the_doctor_makes_certificates_again_each_time(offered, tmp_path, capsys):
    offered()
    assert doctor(tmp_path)[0] == 0
    offered("lstm=wrong")
    status, read = doctor(tmp_path)
    said = capsys.readouterr().out
    assert status == 1 and not read["healthy"] and "Certificate of stand_in on cpu" in said
    failed = {check["name"] for check in read["checks"] if not check["passed"]}
    assert failed == {"lstm forward in one launch", "lstm backward in one launch"} and len(read["checks"]) == 6
    assert "off by 3" in said


def test_what_could_not_be_tried_is_left_out_with_its_reason(offered, tmp_path, monkeypatch):
    offered("gru=full")
    _, read = doctor(tmp_path)
    assert any("out of memory" in left_out["why"] for left_out in read["not_run"])
    monkeypatch.setenv("SEQ2SEQ_FAST_CERTIFY", "0")
    _, read = doctor(tmp_path)
    assert any(left_out["why"] == "SEQ2SEQ_FAST_CERTIFY is 0" for left_out in read["not_run"])
