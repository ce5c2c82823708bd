import importlib
import os
import shutil
import subprocess
import sys
import threading
import time

import pytest
import torch

import seq2seq_fast
from seq2seq_fast.ops.backends import BackendStatus, choose_backend, register_backend
from tests.support.engines import FUSED


def test_an_engine_that_was_built_is_used():
    info = importlib.import_module("seq2seq_fast._build_info")
    if shutil.which("c++") and os.environ.get("SEQ2SEQ_FAST_BUILD_CPU") != "0":
        assert info.CPU_CAPABILITIES, info.CPU_REASON
    assert seq2seq_fast.backends()["cpu"].usable == bool(info.CPU_CAPABILITIES), seq2seq_fast.backends()["cpu"].reason


def test_every_backend_says_what_it_serves_or_why_it_cannot_run():
    for status in seq2seq_fast.backends().values():
        assert status.usable or status.reason
        assert status.devices and status.dtypes


def test_the_reference_serves_every_device():
    assert choose_backend("reference", torch.zeros(1, device="meta")) == "reference"
    assert choose_backend(None, torch.zeros(1, device="meta")) == "reference"


@pytest.mark.skipif(not FUSED, reason="no fused backend is built on this machine")
def test_the_default_for_cpu_tensors_is_the_cpu_engine():
    assert choose_backend(None, torch.zeros(1)) == "cpu"


def test_an_unusable_backend_raises_with_its_reason_and_what_is_available(monkeypatch):
    module = importlib.import_module("seq2seq_fast.ops.backends")
    monkeypatch.setattr(module, "_BACKENDS", seq2seq_fast.backends())
    register_backend("cuda", BackendStatus(False, False, ("cuda",), (torch.float32,), "was not built: no nvcc"))
    with pytest.raises(ValueError, match="'cuda' cannot serve this call: was not built: no nvcc; available here: 'ref"):
        choose_backend("cuda", torch.zeros(1))
    register_backend("cuda", BackendStatus(True, True, ("cuda",), (torch.float32,)))
    with pytest.raises(ValueError, match="serves cuda tensors, not cpu"):
        choose_backend("cuda", torch.zeros(1))
    with pytest.raises(ValueError, match=r"serves float32, not torch\.float64"):
        choose_backend("cuda", torch.empty(1, dtype=torch.float64, device="meta").as_subclass(_Cuda))


def test_a_backend_is_loaded_once_however_many_threads_call_first(monkeypatch):
    module = importlib.import_module("seq2seq_fast.ops.backends")
    monkeypatch.setattr(module, "_BACKENDS", seq2seq_fast.backends())
    loads, together = [], threading.Barrier(4)

    def load():
        loads.append(threading.get_ident())
        time.sleep(0.05)
        return BackendStatus(True, True, ("cpu",), (torch.float32,))

    def call():
        together.wait(60)
        assert choose_backend("slow", torch.zeros(1)) == "slow"

    register_backend("slow", load)
    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(loads) == 1


class _Cuda(torch.Tensor):
    device = torch.device("cuda")


def test_a_preferred_backend_serves_calls_that_name_none_until_the_block_ends():
    before = choose_backend(None, torch.zeros(1))
    with seq2seq_fast.use_backend("reference"):
        assert choose_backend(None, torch.zeros(1)) == "reference"
        with seq2seq_fast.use_backend(None):
            assert choose_backend(None, torch.zeros(1)) == before
    assert choose_backend(None, torch.zeros(1)) == before
    with pytest.raises(ValueError, match="backend='fastest' is unknown"), seq2seq_fast.use_backend("fastest"):
        pass


def test_importing_the_package_imports_neither_the_command_door_nor_the_compiler():
    heavy = (
        "lightning",
        "sentencepiece",
        "sacrebleu",
        "matplotlib",
        "jsonargparse",
        "tensorboard",
        "datasets",
        "torch._dynamo",
    )
    program = f"import sys, seq2seq_fast, seq2seq_fast.nn; print([m for m in {heavy!r} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout.strip() == "[]"
