"""Where the decoder runs in one launch: where it fits, was tried and was right; else on the device's usual backend."""

import importlib
import time

import pytest
import torch

import seq2seq_fast
from seq2seq_fast.cases.attention_decoder import AttentionDecoder
from seq2seq_fast.certificate import Verdict, read, trusting
from seq2seq_fast.certificate.verdict import write
from seq2seq_fast.cuda_kernels.plan import Device
from seq2seq_fast.ops import one_launch
from tests.support import stand_in
from tests.support.cases import drawn
from tests.support.stand_in import BACKEND, CPU, STEPS, served

pytestmark = pytest.mark.skipif(
    not seq2seq_fast.backends()["cpu"].usable, reason="the CPU engine, which stands in for another, is not built"
)
SIZES = {"batch": 2, "target": 3, "source": 4, "embedding": 5, "hidden": 16, "units": 8, "values": 6}


@pytest.fixture(autouse=True)
def warned(recwarn):
    return recwarn


@pytest.fixture
def offer(monkeypatch, tmp_path):
    """CPU tensors are served by steps, and the stand-in offers its launch for them."""
    monkeypatch.setenv("SEQ2SEQ_FAST_CACHE", str(tmp_path))
    monkeypatch.delenv("SEQ2SEQ_FAST_CERTIFY", raising=False)
    backends = importlib.import_module("seq2seq_fast.ops.backends")
    stand_in.register()
    monkeypatch.setattr(backends, "_BACKENDS", dict(backends._BACKENDS))
    stand_in.show()
    monkeypatch.setattr(backends, "_DEFAULTS", {"cpu": (STEPS,)})
    served.clear()

    def make(**changes):
        offered = stand_in.candidate(**changes)
        monkeypatch.setattr(one_launch, "_CANDIDATES", {"cpu": offered})
        return offered

    return make


@pytest.fixture
def judged(offer):
    """A candidate with this verdict, whose trial would be a mistake; "forward" and "backward" are what is wrong."""

    def make(forward="", backward="", **changes):
        offered = offer(command=("/nowhere/python",), **changes)
        wrong = {"forward": forward, "backward": backward}
        verdict = Verdict(offered.subject(CPU), {task: wrong[task.passed] for task in offered.tasks(CPU)})
        verdict.subject.path.parent.mkdir(parents=True, exist_ok=True)
        write(verdict)
        return offered

    return make


def call(form=None, recorded=False, backend=None, **sizes):
    inputs = drawn("attention_decoder", SIZES | sizes, form)
    inputs = inputs.requiring_gradients() if recorded else inputs
    served.clear()
    outputs = AttentionDecoder().call(inputs, None, backend)
    if recorded:
        outputs["states"].sum().backward()
    return served[-1]


def texts(warned):
    return [str(warning.message) for warning in warned if "seq2seq_fast" in str(warning.message)]


def test_what_was_right_serves_forward_and_backward(judged, warned):
    judged()
    assert call() == call(recorded=True) == call({"cell": "lstm"}) == BACKEND
    assert texts(warned) == []


def test_steps_serve_what_does_not_fit(judged):
    judged()
    assert call({"cell": "gru", "reset_after": False}) == call(units=7) == STEPS
    judged(limits=lambda like: Device(4, 227 * 1024, cooperative=False))
    assert call() == STEPS


def test_a_pass_that_was_wrong_is_named_once_and_serves_no_call_that_needs_it(judged, warned):
    judged(backward="off by 3")
    assert call() == BACKEND and call(recorded=True) == STEPS and call(recorded=True) == STEPS
    (text,) = texts(warned)
    assert "gru float32 backward: off by 3" in text and "seq2seq-fast doctor" in text


def test_a_named_backend_that_was_wrong_raises(judged):
    judged(backward="off by 3")
    assert call(backend=BACKEND) == BACKEND
    assert call(backend=BACKEND, recorded=True, units=7) == BACKEND  # not in one launch
    with pytest.raises(
        ValueError, match=r"'stand_in' was wrong on a processor.*gru float32 backward: off by 3.*doctor"
    ):
        call(backend=BACKEND, recorded=True)
    with seq2seq_fast.use_backend(BACKEND), pytest.raises(ValueError, match="off by 3"):
        call(recorded=True)
    with trusting():
        assert call(backend=BACKEND, recorded=True) == BACKEND
    assert call(backend=STEPS, recorded=True) == STEPS


def test_a_damaged_verdict_is_none(judged, warned):
    offered = judged()
    offered.subject(CPU).path.write_text("{")
    assert call() == STEPS and "cannot be started" in texts(warned)[0]
    assert call() == STEPS and len(texts(warned)) == 1


def test_nothing_is_tried_where_that_is_forbidden_and_verdicts_that_are_there_still_count(judged, monkeypatch, warned):
    offered = judged()
    path = offered.subject(CPU).path
    path.rename(path.with_suffix(".elsewhere"))
    monkeypatch.setenv("SEQ2SEQ_FAST_CERTIFY", "0")
    assert call() == STEPS and call(backend=BACKEND) == BACKEND
    path.with_suffix(".elsewhere").rename(path)
    assert call() == BACKEND and texts(warned) == []


def test_a_capture_tries_nothing_and_the_next_call_does(offer, monkeypatch):
    tried = []
    offered = offer()
    monkeypatch.setattr(type(offered), "try_now", lambda self, device: tried.append(device))
    monkeypatch.setattr(one_launch, "_capturing", lambda device: True)
    assert call() == STEPS and tried == []
    monkeypatch.setattr(one_launch, "_capturing", lambda device: False)
    assert call() == STEPS and tried == [CPU]


def test_an_import_reads_no_verdict_and_graphs_that_are_made_ask_for_none(judged):
    judged()
    inputs = drawn("attention_decoder", SIZES).tensors
    inputs.pop("cell_state", None)
    served.clear()
    torch.jit.trace(lambda x: seq2seq_fast.attention_decoder(x, **rest(inputs))[0], inputs["inputs"], check_trace=False)
    assert set(served) == {STEPS}
    torch.compile(lambda x: seq2seq_fast.attention_decoder(x, **rest(inputs))[0], backend="eager")(inputs["inputs"])
    assert set(served) == {STEPS}


def rest(inputs):
    return {name: tensor for name, tensor in inputs.items() if name != "inputs"}


def test_backends_show_verdicts(judged, monkeypatch):
    module = importlib.import_module("seq2seq_fast.ops.cuda")
    offered = judged()
    verdict = Verdict(
        module.Subject("cuda", "a GPU", "1.2", "a build", torch.__version__, module.triton_version()),
        {task: "" for task in offered.tasks(CPU)},
    )
    write(verdict)
    monkeypatch.setattr(module, "_build", lambda: "a build")
    assert module.certificates() == ["a GPU, driver 1.2: 6 of 6 right"]
    monkeypatch.setattr(module, "_build", lambda: "another build")
    assert module.certificates() == []


def test_knowing_costs_a_call_little(judged):
    offered = judged()
    inputs = torch.zeros(2, 3, 5)
    sizes = {"cell": "gru", "reset_after": True, "positions": 4, "units": 8, "hidden": 16, "recorded": True}
    began = time.perf_counter()
    assert one_launch.choose_for_one_launch(None, inputs, **sizes) == BACKEND
    first = time.perf_counter() - began
    again = []
    for _ in range(50):
        began = time.perf_counter()
        one_launch.choose_for_one_launch(None, inputs, **sizes)
        again.append(time.perf_counter() - began)
    assert offered.verdicts and first < 0.1 and min(again) < 1e-4


def test_a_first_call_tries_in_a_child_and_knows_right_wrong_and_crash_apart(offer, monkeypatch, warned, capsys):
    monkeypatch.setenv("STAND_IN", "lstm:crash rnn:wrong-gradient")
    offered = offer()
    generator = torch.get_rng_state()
    assert call() == BACKEND
    assert torch.equal(generator, torch.get_rng_state()) and "trying stand_in" in capsys.readouterr().err
    found = read(offered.subject(CPU))
    wrong = {f"{task.form} {task.passed}": why for task, why in found.results.items()}
    assert wrong["gru forward"] == wrong["gru backward"] == wrong["rnn forward"] == ""
    assert wrong["lstm forward"].startswith("ended by SIGSEGV") and wrong["lstm backward"].startswith(
        "ended by SIGSEGV"
    )
    assert wrong["rnn backward"].startswith("gradients: gradient of inputs: off by")
    (text,) = texts(warned)
    assert all(
        f"{failed}" in text for failed in ("lstm float32 forward", "lstm float32 backward", "rnn float32 backward")
    )
    monkeypatch.setenv("STAND_IN", "")
    assert call({"cell": "lstm"}) == STEPS and call({"cell": "rnn"}) == BACKEND
    assert call({"cell": "rnn"}, recorded=True) == STEPS


def test_a_hang_stays_in_the_child(offer, monkeypatch, warned):
    monkeypatch.setenv("STAND_IN", "gru:hang lstm:raise rnn:wrong")
    monkeypatch.setattr(one_launch.certificate, "obtain", hurried)
    offered = offer()
    began = time.monotonic()
    assert call() == STEPS and time.monotonic() - began < 120
    wrong = [why for _, why in sorted(read(offered.subject(CPU)).results.items())]
    assert wrong[0] == wrong[1] == "gave no answer within 5 seconds"
    assert "no kernel image" in wrong[2] and "outputs: states: off by" in wrong[5]


def hurried(*arguments, **options):
    from seq2seq_fast.certificate import Limits, gate

    return gate.obtain(*arguments, **options, limits=Limits(task=5.0))
