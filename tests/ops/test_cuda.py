from types import SimpleNamespace

import pytest
import torch

from emulators.cudafiber.module import module
from seq2seq_fast.ops import cuda


@pytest.fixture
def device(monkeypatch):
    """torch sees one device of this compute capability."""

    def sees(*capability):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: capability)

    return sees


def test_a_module_whose_kernels_load_is_usable(device):
    device(9, 0)
    assert cuda.why_unusable(module()) == ""


def test_a_build_without_code_for_the_device_is_not_usable(device, monkeypatch):
    device(9, 0)
    monkeypatch.setenv("CUDAFIBER_NO_CODE", "1")
    assert cuda.why_unusable(module()) == (
        "the device cannot run this build: device_limits: no kernel image is available for execution on the device"
    )


def test_a_driver_older_than_the_runtime_is_named(device):
    def device_limits():
        raise RuntimeError("device_limits: CUDA driver version is insufficient for CUDA runtime version")

    device(9, 0)
    assert "CUDA driver version is insufficient" in cuda.why_unusable(SimpleNamespace(device_limits=device_limits))


def test_an_old_device_is_named_before_it_is_asked(device):
    device(7, 5)
    assert "compute capability 7.5; 8.0 is the oldest" in cuda.why_unusable(SimpleNamespace())
