"""How the CUDA engine is loaded, and what it asks of a device: of the one that a call is about."""

from types import SimpleNamespace

import pytest
import torch

from seq2seq_fast.ops import cuda
from tests.emulators.cudafiber.module import module
from tests.support.capture import imagined_devices

SECOND = torch.device("cuda", 1)


@pytest.fixture
def device(monkeypatch):
    """torch sees devices of this compute capability; gives the one that is current, and the questions asked."""

    def sees(*capability):
        current = imagined_devices(monkeypatch)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
        return current

    return sees


def test_a_module_whose_kernels_load_is_usable(device):
    device(9, 0)
    assert cuda.why_unusable(module(), SECOND) == ""


def test_a_build_without_code_for_the_device_is_not_usable(device, monkeypatch):
    device(9, 0)
    monkeypatch.setenv("CUDAFIBER_NO_CODE", "1")
    assert cuda.why_unusable(module(), SECOND) == (
        "cuda:1 cannot run this build: device_limits: no kernel image is available for execution on the device"
    )


def test_a_driver_older_than_the_runtime_is_named(device):
    def device_limits():
        raise RuntimeError("device_limits: CUDA driver version is insufficient for CUDA runtime version")

    device(9, 0)
    assert "CUDA driver version is insufficient" in cuda.why_unusable(
        SimpleNamespace(device_limits=device_limits), SECOND
    )


def test_an_old_device_is_named_before_it_is_asked(device):
    device(7, 5)
    assert "compute capability 7.5; 8.0 is the oldest" in cuda.why_unusable(SimpleNamespace(), SECOND)


def test_the_device_of_a_call_is_asked_and_no_other(device):
    current, asked = device(9, 0), []
    cuda.why_unusable(SimpleNamespace(device_limits=lambda: asked.append(current[0])), SECOND)
    assert asked == [1] and current == [0]
