"""Each source of the kernels compiles with nothing but the folder of its headers."""

import subprocess

import pytest

from build_support import cuda
from build_support.toolchain import ROOT, Unavailable


@pytest.mark.prove
@pytest.mark.parametrize("source", sorted(cuda.SOURCES.glob("*.cu")), ids=lambda path: path.stem)
def test_a_kernel_compiles_on_its_own(source, tmp_path):
    try:
        nvcc = cuda.find_nvcc()
    except Unavailable as error:
        pytest.skip(str(error))
    command = [nvcc, "-I", "csrc", "-c", str(source.relative_to(ROOT)), "-o", str(tmp_path / "out.o")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
