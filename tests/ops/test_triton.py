"""How the Triton engine is loaded and chosen; its kernels are tested in tests/triton_kernels."""

import importlib
import subprocess
import sys

import pytest
import torch

import seq2seq_fast
from seq2seq_fast.ops import triton
from seq2seq_fast.ops.backends import BackendStatus, choose_backend, register_backend


class OnCuda(torch.Tensor):
    device = torch.device("cuda")


def on_cuda(dtype):
    return torch.empty(1, dtype=dtype, device="meta").as_subclass(OnCuda)


@pytest.fixture
def known(monkeypatch):
    monkeypatch.setattr(importlib.import_module("seq2seq_fast.ops.backends"), "_BACKENDS", seq2seq_fast.backends())


@pytest.mark.parametrize("dtype", triton.DTYPES, ids=str)
def test_cuda_tensors_are_served_by_triton(known, dtype):
    register_backend("triton", BackendStatus(True, True, ("cuda",), triton.DTYPES))
    assert choose_backend(None, on_cuda(dtype)) == "triton"


@pytest.mark.parametrize("dtype", triton.DTYPES, ids=str)
def test_triton_stays_the_default_beside_a_cuda_engine_that_is_usable(known, dtype):
    for name in ("cuda", "triton"):
        register_backend(name, BackendStatus(True, True, ("cuda",), triton.DTYPES))
    assert choose_backend(None, on_cuda(dtype)) == "triton"
    assert choose_backend("cuda", on_cuda(dtype)) == "cuda"
    with seq2seq_fast.use_backend("cuda"):
        assert choose_backend(None, on_cuda(dtype)) == "cuda"


def test_without_triton_the_cuda_engine_still_has_to_be_asked_for(known):
    register_backend("triton", BackendStatus(True, False, ("cuda",), triton.DTYPES, "no triton"))
    register_backend("cuda", BackendStatus(True, True, ("cuda",), triton.DTYPES))
    assert choose_backend(None, on_cuda(torch.float32)) == "reference"


def test_float64_cuda_tensors_are_served_by_the_reference_unless_triton_is_named(known):
    register_backend("triton", BackendStatus(True, True, ("cuda",), triton.DTYPES))
    assert choose_backend(None, on_cuda(torch.float64)) == "reference"
    with pytest.raises(ValueError, match=r"not torch\.float64"):
        choose_backend("triton", on_cuda(torch.float64))


def test_an_engine_that_cannot_run_leaves_cuda_tensors_to_the_reference(known):
    register_backend("triton", BackendStatus(False, False, ("cuda",), triton.DTYPES, "triton is not installed"))
    assert choose_backend(None, on_cuda(torch.float32)) == "reference"
    with pytest.raises(ValueError, match="triton is not installed"):
        choose_backend("triton", on_cuda(torch.float32))


@pytest.mark.parametrize(
    ("installed", "rocm", "told"), [(False, False, "triton is not installed"), (True, True, "for NVIDIA's GPUs")]
)
def test_where_a_gpu_goes_without_the_engine_a_warning_and_the_status_say_so(installed, rocm, told):
    with pytest.warns(UserWarning, match=f"{told}.*; CUDA tensors are served by the slow reference"):
        assert "served by the slow reference" in triton.why_not(installed, rocm, True)


def test_without_a_gpu_nobody_is_warned(recwarn):
    assert triton.why_not(True, False, False) == "no CUDA device is available"
    assert triton.why_not(False, False, False) == "triton is not installed: pip install 'seq2seq_fast[triton]'"
    assert triton.why_not(True, False, True) == ""
    assert not recwarn.list


def test_importing_the_package_where_there_is_no_gpu_does_not_import_triton():
    program = "import sys, seq2seq_fast, torch; print('triton' in sys.modules or torch.cuda.is_available())"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert told.strip() == str(torch.cuda.is_available())
