import json
import sys
from types import SimpleNamespace

import pytest
import torch

import seq2seq_fast
from seq2seq_fast.cuda_kernels import plan
from seq2seq_fast.doctor import environment
from seq2seq_fast.doctor.tables import environment_rows
from tests.doctor.backends import backend_for_tests


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Makes programs that print a text; no other program is found."""
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("CXX", "CUDA_HOME"):
        monkeypatch.delenv(name, raising=False)

    def make(name, text):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\nprintf '%s\\n' '{text}'\n")
        program.chmod(0o755)

    return make


def test_everything_described_is_json_and_names_the_versions():
    described = json.loads(json.dumps(environment.describe(), allow_nan=False))
    assert described["versions"]["torch"] == torch.__version__
    assert described["versions"]["seq2seq_fast"] == seq2seq_fast.__version__
    assert [backend["name"] for backend in described["backends"]] == list(seq2seq_fast.backends())
    assert described["processor"]["threads"] == torch.get_num_threads()


def test_a_backend_that_cannot_run_is_described_with_its_reason():
    with backend_for_tests(usable=False, reason="no device") as name:
        table = {backend["name"]: backend for backend in environment.backend_table()}
    assert table[name] == {
        "name": name, "built": True, "usable": False, "devices": ["cpu"], "dtypes": ["float32", "float64"],
        "reason": "no device", "certificates": [],
    }  # fmt: skip


def test_a_machine_without_compilers_says_so(programs):
    assert environment.cpp_compiler() == environment.nvcc() == "none found"


def test_compilers_and_driver_are_told_by_their_version(programs):
    programs("g++", "g++ (Debian) 12.2.0\nmore")
    programs("nvcc", "nvcc: NVIDIA (R)\nCuda compilation tools, release 12.9, V12.9.41")
    programs("nvidia-smi", "570.86.10\n570.86.10")
    assert environment.cpp_compiler() == "g++ (Debian) 12.2.0"
    assert environment.nvcc() == "release 12.9"
    assert environment.driver() == "570.86.10"


def test_nvcc_is_the_one_of_cuda_home_as_in_a_build(programs, tmp_path, monkeypatch):
    programs("nvcc", "Cuda compilation tools, release 12.9, V12.9.41")
    (tmp_path / "bin").mkdir()
    programs("bin/nvcc", "Cuda compilation tools, release 13.0, V13.0.88")
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    assert environment.nvcc() == "release 13.0"
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "nowhere"))
    assert environment.nvcc() == "none found"


@pytest.mark.parametrize(
    ("built", "told"),
    [
        (
            {"CUDA_REASON": "", "CUDA_ARCHITECTURES": ("80", "90a", "120+PTX")},
            "CUDA engine: for compute capability 8.0, 9.0a, 12.0+PTX",
        ),
        ({"CUDA_REASON": "", "CUDA_ARCHITECTURES": ()}, "CUDA engine: built"),
        ({"CUDA_REASON": "no nvcc was found in PATH"}, "CUDA engine: not built (no nvcc was found in PATH)"),
    ],
)
def test_compiled_parts_tell_of_the_cuda_engine_and_its_architectures(built, told, monkeypatch):
    info = SimpleNamespace(CPU_CAPABILITIES=("AVX2",), CPU_REASON="", TORCH_VERSION="2.11", **built)
    monkeypatch.setitem(sys.modules, "seq2seq_fast._build_info", info)
    assert environment.versions()["compiled parts"] == f"CPU engine: AVX2, built with torch 2.11; {told}"


def test_the_cuda_engines_plans_are_told_for_every_device_at_known_sizes():
    described = environment.describe()
    assert bool(described["decoder_plans"]) == (torch.cuda.is_available() and seq2seq_fast.backends()["cuda"].usable)
    described["decoder_plans"] = environment.plans_of("cuda:0", plan.RTX_3090)
    told = dict(environment_rows(described))
    assert told["cuda:0, gru decoder in 16 bits at Multi30k's sizes, forward"].startswith("one launch of 82 blocks")
    assert "a block needs" in told["cuda:0, gru decoder in 16 bits at the paper's sizes, backward"]
    assert json.loads(json.dumps(described)) == described


def test_a_driver_that_does_not_answer_is_none_found(programs):
    programs("nvidia-smi", "NVIDIA-SMI has failed because it could not communicate with the driver")
    assert environment.driver() == "none found"


def test_only_variables_that_are_set_are_told(monkeypatch):
    for name in environment.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert environment.describe()["variables"] == {"OMP_NUM_THREADS": "1"}
