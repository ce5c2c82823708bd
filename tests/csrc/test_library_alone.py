"""The CPU engine's library in a process that does not import the package: it brings its operators' schemas along."""

import subprocess
import sys

import pytest

import seq2seq_fast
from seq2seq_fast.ops import cpu

pytestmark = pytest.mark.skipif(not seq2seq_fast.backends()["cpu"].usable, reason="the CPU engine is not built")


def alone(program: str) -> str:
    path = cpu.library_path(seq2seq_fast.backends()["cpu"].reason)
    start = f"import sys, warnings, torch; torch.ops.load_library({str(path)!r})\n"
    end = "\nassert not [name for name in sys.modules if name.startswith('seq2seq_fast')]"
    done = subprocess.run([sys.executable, "-c", start + program + end], capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_operators_are_defined_and_compute(tmp_path):
    told = alone("keys = torch.zeros(2, 3, 4); e, inside = torch.ops.seq2seq_fast_cpu.key_exponentials(keys)\nprint(e.sum())")
    assert told.strip() == "tensor(24.)"


def test_an_exported_program_loads(tmp_path):
    import torch

    layer = seq2seq_fast.nn.AdditiveAttention(4, 6, 5)
    arguments = torch.randn(2, 4), torch.randn(2, 3, 6)
    torch.export.save(torch.export.export(layer, arguments), tmp_path / "layer.pt2")
    torch.save((arguments, layer(*arguments)[0].detach()), tmp_path / "expected.pt")
    alone(
        f"arguments, expected = torch.load({str(tmp_path / 'expected.pt')!r})\n"
        f"program = torch.export.load({str(tmp_path / 'layer.pt2')!r}).module()\n"
        "torch.testing.assert_close(program(*arguments)[0].detach(), expected)"
    )


def test_without_the_package_backward_warns():
    told = alone(
        "v = torch.randn(3, requires_grad=True)\n"
        "operator = torch.ops.seq2seq_fast_cpu.feature_score_forward\n"
        "scores = operator(torch.randn(1, 1, 3), torch.randn(1, 2, 3), v, None, None, 'relu')\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    scores.sum().backward()\n"
        "print(v.grad, any('autograd kernel was not registered' in str(w.message) for w in caught))"
    )
    assert told.strip() == "None True"


def test_a_library_of_other_sources_is_refused(monkeypatch):
    changed = {**cpu.schemas_of("cpu"), "key_exponentials": "(Tensor keys, bool other) -> (Tensor, Tensor)"}
    monkeypatch.setattr(cpu, "schemas_of", lambda backend: changed)
    path = cpu.library_path(seq2seq_fast.backends()["cpu"].reason)
    with pytest.raises(cpu._Unusable, match=r"built from other sources \(key_exponentials .* build again"):
        cpu._check_schemas(path)
