import json

import pytest
import torch

import seq2seq_fast
from seq2seq_fast.doctor import environment
from tests.doctor.backends import backend_for_tests


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Makes programs that print a text; no other program is found."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)

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
        "reason": "no device",
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


def test_a_driver_that_does_not_answer_is_none_found(programs):
    programs("nvidia-smi", "NVIDIA-SMI has failed because it could not communicate with the driver")
    assert environment.driver() == "none found"


def test_only_variables_that_are_set_are_told(monkeypatch):
    for name in environment.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert environment.describe()["variables"] == {"OMP_NUM_THREADS": "1"}
