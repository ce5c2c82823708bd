"""The wheel that `make wheel` builds, installed where there is no compiler and no checkout."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# The environments of `make test-versions`, where they have been made, beside the one that runs this.
PYTHONS = {"this": Path(sys.executable)} | {
    folder.name.removeprefix(".venv-"): folder / "bin" / "python" for folder in sorted(ROOT.glob(".venv-*"))
}
OPERATORS = ("additive_attention", "attention_decoder", "attention_decoder_step", "gru_cell", "recurrent_sequence")

pytestmark = pytest.mark.prove


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-build-isolation", "--no-deps", "."]
    done = subprocess.run([*command, "--wheel-dir", str(folder)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


def test_it_serves_every_python_and_holds_the_package_alone(wheel):
    assert wheel.name.split("-")[2:4] == ["cp310", "abi3"]
    names = zipfile.ZipFile(wheel).namelist()
    assert "seq2seq_fast/_build_info.py" in names
    assert any(name.startswith("seq2seq_fast/_cpu_") for name in names)
    assert {name.split("/")[0] for name in names if not name.split("/")[0].endswith(".dist-info")} == {"seq2seq_fast"}


@pytest.mark.parametrize("python", PYTHONS.values(), ids=PYTHONS)
def test_operators_pass_their_tests_without_a_compiler(wheel, python, tmp_path):
    installed, elsewhere = tmp_path / "installed", tmp_path / "elsewhere"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(installed), str(wheel)]
    subprocess.run(command, check=True, capture_output=True)
    shutil.copytree(ROOT / "tests", elsewhere / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", elsewhere)
    empty = tmp_path / "no-programs"
    empty.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(installed), "PATH": str(empty), "OMP_NUM_THREADS": "1"}
    told = "import seq2seq_fast as s; print(s.__file__); print(s.backends()['cpu'].usable)"
    done = subprocess.run([python, "-c", told], cwd=elsewhere, env=environment, capture_output=True, text=True)
    assert done.stdout.split() == [str(installed / "seq2seq_fast" / "__init__.py"), "True"], done.stderr
    tests = [f"tests/ops/test_{name}.py" for name in OPERATORS]
    done = subprocess.run(
        [python, "-m", "pytest", "-q", "-k", "cpu", *tests],
        cwd=elsewhere,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout[-3000:] + done.stderr[-2000:]
