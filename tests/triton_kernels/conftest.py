"""Fixtures of the tests that launch, and of those that execute generated code."""

import importlib

import pytest
import torch
from triton.backends.compiler import GPUTarget
from triton.runtime import driver

import seq2seq_fast
from seq2seq_fast.ops import register_backend, triton
from tests.triton_kernels.shipped import real_launch_parameters


class Named:
    def get_current_target(self):
        return GPUTarget("cuda", 90, 32)


@pytest.fixture
def serves_cpu_tensors(monkeypatch):
    """The triton backend takes CPU tensors; Triton, asked for the device to compile for, names an H100."""
    triton.register()
    monkeypatch.setattr(importlib.import_module("seq2seq_fast.ops.backends"), "_BACKENDS", seq2seq_fast.backends())
    register_backend("triton", seq2seq_fast.BackendStatus(True, True, ("cpu",), triton.DTYPES))
    monkeypatch.setattr(driver, "_active", Named())


@pytest.fixture
def generated_code_serves_cpu_tensors(monkeypatch, poisoned):
    if not hasattr(torch.ops.seq2seq_fast_triton, "attend_forward"):
        triton.register()
    real_launch_parameters(monkeypatch)
    before = seq2seq_fast.backends()["triton"]
    register_backend("triton", seq2seq_fast.BackendStatus(True, True, ("cpu",), triton.DTYPES))
    yield
    register_backend("triton", before)
