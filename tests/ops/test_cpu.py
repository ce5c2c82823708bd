import os
import subprocess
import sys

import pytest
import torch

import seq2seq_fast
from build_support.toolchain import ROOT
from seq2seq_fast.ops import cpu
from tests.support.cases import attention_case
from tests.support.truth import assert_near, double

ALL = ("DEFAULT", "AVX2", "AVX512")


@pytest.fixture
def processor(monkeypatch):
    return lambda capability: monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)


@pytest.mark.parametrize("detected", ["DEFAULT", "AVX2", "AVX512", "SVE256"])
def test_the_widest_instruction_set_that_is_here_and_built_is_chosen(processor, detected):
    processor(detected)
    assert cpu._choose(ALL, "", None) == ("DEFAULT" if detected == "SVE256" else detected)
    assert cpu._choose(("DEFAULT",), "", None) == "DEFAULT"
    assert cpu._choose(ALL, "", "DEFAULT") == "DEFAULT"


@pytest.mark.parametrize(
    ("detected", "built", "asked", "says"),
    [
        ("AVX2", (), None, "not built: no compiler"),
        ("AVX2", ALL, "AVX512", "this processor has only DEFAULT, AVX2"),
        ("AVX512", ("AVX2",), "AVX512", "the build has only AVX2"),
        ("AVX2", ALL, "sse", "none of DEFAULT, AVX2, AVX512"),
        ("DEFAULT", ("AVX2", "AVX512"), None, "built for AVX2, AVX512, this processor has DEFAULT"),
    ],
)
def test_one_line_says_why_there_is_no_engine(processor, detected, built, asked, says):
    processor(detected)
    with pytest.raises(cpu._Unusable, match=says) as raised:
        cpu._choose(built, "no compiler", asked)
    assert "\n" not in str(raised.value)


def test_a_torch_older_than_the_engine_serves_is_refused():
    for version in (torch.__version__, "2.11.0", "2.13.0+cu130", "2.20.0a0+git1234", "3.0.0"):
        cpu._check_torch(version)
    with pytest.raises(cpu._Unusable, match=r"needs torch 2\.11 or later, this is 2\.9\.1"):
        cpu._check_torch("2.9.1+cpu")


def test_a_checkout_that_hides_an_installed_package_is_named(tmp_path, monkeypatch):
    installed = tmp_path / "site-packages"
    monkeypatch.setattr(cpu.sys, "path", ["", str(tmp_path / "elsewhere"), str(installed)])
    assert cpu.why_not_built().startswith("setup.py has not run here")
    (installed / "seq2seq_fast").mkdir(parents=True)
    (installed / "seq2seq_fast" / "_build_info.py").touch()
    told = cpu.why_not_built()
    assert str(installed) in told and str(ROOT) in told and "build_ext --inplace" in told


@pytest.mark.skipif(not seq2seq_fast.backends()["cpu"].usable, reason="the CPU engine is not built")
def test_the_environment_names_an_instruction_set():
    program = "import seq2seq_fast; print(seq2seq_fast.backends()['cpu'].reason)"
    built = seq2seq_fast.backends()["cpu"].reason
    environment = {**os.environ, "SEQ2SEQ_FAST_CPU_CAPABILITY": built}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert done.stdout.strip() == built, done.stderr


@pytest.mark.parametrize(("reason", "warned"), [("no compiler", True), ("asked for no CPU engine", False)])
def test_an_engine_that_is_missing_unasked_is_warned_of(monkeypatch, recwarn, reason, warned):
    def fail():
        raise cpu._Unusable(f"not built: {reason}")

    monkeypatch.setattr(cpu, "_load_library", fail)
    status = cpu.load.__wrapped__()
    assert (status.built, status.usable, status.reason) == (False, False, f"not built: {reason}")
    assert ["CPU tensors are served by the slow reference" in str(one.message) for one in recwarn] == [True] * warned


@pytest.mark.parametrize("queries", [None, 5])
@pytest.mark.parametrize("size", [1e19, 1e21, 1e30, 1e36])
def test_v_of_any_size_gives_finite_attention(queries, size):
    """Two units share a division, and v times their denominators must not overflow."""
    case = attention_case(3, queries, 6, 35, 9)
    with torch.no_grad():
        case.v.mul_(size)
        case.keys.mul_(10)  # saturated units have the largest denominators
    found = seq2seq_fast.additive_attention(*case.differentiable, backend="cpu")
    truth = seq2seq_fast.additive_attention(*double(case.differentiable), backend="reference")
    for one, true in zip(found, truth, strict=True):
        assert_near(one, true, error=1e-6)  # one position has all the weight
    memory = seq2seq_fast.attention_memory(case.keys, case.values)
    scores = seq2seq_fast.additive_score(case.query, memory, case.v, backend="cpu")
    wide = seq2seq_fast.attention_memory(case.keys.double(), case.values.double())
    wanted = seq2seq_fast.additive_score(case.query.double(), wide, case.v.double(), backend="reference")
    assert_near(scores, wanted, error=1e-5)
