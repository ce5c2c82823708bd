"""Importing the package wakes no GPU: a process that has imported it can still fork, and a rank opens its device only.

A GPU is imagined: torch's functions about devices raise where the import asks them.
"""

import subprocess
import sys

import pytest
import torch

import seq2seq_fast
from seq2seq_fast.ops.backends import BackendStatus, choose_backend, register_backend

PROGRAM = """
import multiprocessing, sys, types, torch

ALLOWED = {counting}
def refuse(name):
    def asked(*arguments, **settings):
        if name in ALLOWED:
            return 2
        raise AssertionError("torch.cuda." + name + " was called")
    return asked

for name in (
    "_lazy_init", "init", "is_available", "is_initialized", "device_count", "current_device", "set_device",
    "get_device_properties", "get_device_capability", "get_device_name", "mem_get_info", "current_stream", "device",
    "is_current_stream_capturing", "get_rng_state", "synchronize",
):
    setattr(torch.cuda, name, refuse(name))
    if hasattr(torch._C, "_cuda_" + name):
        setattr(torch._C, "_cuda_" + name, refuse(name))
for name in ("_cuda_init", "_cuda_getDeviceCount", "_cuda_getDevice"):
    if hasattr(torch._C, name):
        setattr(torch._C, name, refuse(name))

class Engine(types.ModuleType):  # as the compiled engine: each of its functions asks the current device
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return refuse("engine." + name)
sys.modules["seq2seq_fast._cuda"] = Engine("seq2seq_fast._cuda")
{then}
"""


def run(then: str, counting: tuple[str, ...] = ()) -> str:
    program = PROGRAM.replace("{counting}", repr(counting)).replace("{then}", then)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("package", ["", ".nn", ".decoding", ".cli", ".doctor", ".training", ".visualization"])
def test_an_import_asks_no_device_anything(package):
    run(f"import seq2seq_fast{package}")


def test_a_cpu_call_and_a_forked_child_ask_no_device_anything():
    run("""
import seq2seq_fast
def call():
    keys = torch.ones(1, 2, 3)
    assert seq2seq_fast.additive_score(torch.ones(1, 3), seq2seq_fast.attention_memory(keys, keys), torch.ones(3)).shape
call()
child = multiprocessing.get_context("fork").Process(target=call)
child.start(); child.join()
assert child.exitcode == 0
""")


def test_the_table_of_backends_counts_devices_and_opens_none():
    told = run("import seq2seq_fast; print(seq2seq_fast.backends()['cuda'].usable)", ("device_count",))
    assert told.strip() == "True"


def test_a_backend_may_refuse_one_device_and_serve_another(monkeypatch):
    import importlib

    class OnCuda(torch.Tensor):
        index = 0
        device = property(lambda self: torch.device("cuda", self.index))

    module = importlib.import_module("seq2seq_fast.ops.backends")
    monkeypatch.setattr(module, "_BACKENDS", seq2seq_fast.backends())
    refuses = {0: "", 1: "cuda:1 is too old"}
    loaded = []

    def load():
        loaded.append(1)
        return BackendStatus(True, True, ("cuda",), (torch.float32,), refuses=lambda device: refuses[device.index])

    register_backend("triton", load)
    tensor = torch.empty(1, device="meta").as_subclass(OnCuda)
    assert not loaded and choose_backend(None, tensor) == "triton"
    tensor.index = 1
    assert choose_backend(None, tensor) == "reference"
    with pytest.raises(ValueError, match="'triton' cannot serve this call: cuda:1 is too old; available here: 'ref"):
        choose_backend("triton", tensor)
    assert loaded == [1]
