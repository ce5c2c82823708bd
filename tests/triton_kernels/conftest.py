"""Fixtures of the tests that execute generated code."""

import pytest
import torch

import seq2seq_fast
from seq2seq_fast.ops import register_backend, triton
from tests.triton_kernels.shipped import real_launch_parameters


@pytest.fixture
def generated_code_serves_cpu_tensors(monkeypatch, poisoned):
    if not hasattr(torch.ops.seq2seq_fast_triton, "attend_forward"):
        triton.register()
    real_launch_parameters(monkeypatch)
    before = seq2seq_fast.backends()["triton"]
    register_backend("triton", seq2seq_fast.BackendStatus(True, True, ("cpu",), triton.DTYPES))
    yield
    register_backend("triton", before)
