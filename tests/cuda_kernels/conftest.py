"""The engines that run the kernels of csrc/cuda: fibers on the CPU, and a GPU where there is one."""

import pytest

from tests.support.emulated import emulated
from tests.support.engines import ENGINES


@pytest.fixture(params=["cudafiber", *(engine for engine in ENGINES if engine.backend == "cuda")], ids=str)
def engine(request):
    return emulated() if request.param == "cudafiber" else request.param
