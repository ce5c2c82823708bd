import pytest
import torch

from seq2seq_fast.cases.attention_decoder import AttentionDecoder
from seq2seq_fast.cases.lstm_cell import LSTMCell
from seq2seq_fast.cases.sizes import PLACES
from seq2seq_fast.doctor.results import Findings
from seq2seq_fast.doctor.timings import Settings, time_operator
from tests.doctor.backends import backend_for_tests

CPU = torch.device("cpu")
TINY = PLACES["small"]._replace(sizes=dict.fromkeys(PLACES["small"].sizes, 3))


@pytest.fixture(autouse=True)
def tiny_sizes(monkeypatch):
    monkeypatch.setitem(PLACES, "small", TINY)


def timed(operator, backends, compiled=False):
    findings, said = Findings({}, {}), []
    settings = Settings(CPU, backends, "small", compiled, seconds=0.01)
    time_operator(operator, settings, findings, said.append)
    return findings, said


def contenders(findings):
    return [(timing.passed, timing.contender) for timing in findings.timings]


def test_a_right_backend_is_timed_beside_eager():
    with backend_for_tests() as backend:
        findings, said = timed(LSTMCell(), ["reference", backend])
    both = [("eager"), backend]
    assert contenders(findings) == [(passed, name) for passed in ("forward", "forward+backward") for name in both]
    assert all(t.low_ms <= t.median_ms <= t.high_ms and t.rounds >= 5 for t in findings.timings)
    assert all(check.passed for check in findings.checks) and len(findings.checks) == 2
    assert findings.timed_at["lstm_cell"].startswith("batch 3")
    assert any("timing forward" in line for line in said)


def test_a_wrong_backend_is_not_timed():
    with backend_for_tests(forward=lambda hidden: hidden * 1.01) as backend:
        findings, _ = timed(LSTMCell(), ["reference", backend])
    assert {name for _, name in contenders(findings)} == {"eager"}
    assert [check.backend for check in findings.failed] == [backend]


def test_a_compiler_that_fails_is_left_out_with_its_reason(monkeypatch):
    def compile_nothing(function, **options):
        def raises(*arguments):
            raise RuntimeError("no C++ compiler\nand a long trace")

        return raises

    monkeypatch.setattr(torch, "compile", compile_nothing)
    findings, _ = timed(LSTMCell(), ["reference"], compiled=True)
    assert {name for _, name in contenders(findings)} == {"eager"}
    assert [left_out.why for left_out in findings.not_run] == ["RuntimeError: no C++ compiler"]
    assert findings.not_run[0].what == "timing of lstm_cell, compile"


@pytest.mark.parametrize("operator", [LSTMCell(), AttentionDecoder()], ids=lambda operator: operator.name)
def test_torch_compile_is_given_the_operator_or_the_step_of_a_loop(monkeypatch, operator):
    given = []
    monkeypatch.setattr(torch, "compile", lambda function, **options: given.append(function) or function)
    findings, _ = timed(operator, ["reference"], compiled=True)
    assert [name for _, name in contenders(findings)] == ["eager", "compile"] * 2
    names = [function.__name__ for function in given]
    assert names == (["eager_step"] if operator.name == "attention_decoder" else ["eager"])
