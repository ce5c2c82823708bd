"""Settings of the whole suite: deterministic, and uninitialised memory that nobody may read is NaN."""

import pytest
import torch
from hypothesis import HealthCheck, settings

from seq2seq_fast import use_tf32
from tests.support.triton_modes import pytest_ignore_collect, pytest_runtest_setup  # noqa: F401

settings.register_profile(
    "fast",
    deadline=None,
    derandomize=True,
    max_examples=20,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("fast")


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def exact_products():
    """float32 is float32 on a GPU, in recurrences too: what is tested are the operators."""
    with use_tf32(False):
        yield


@pytest.fixture
def poisoned():
    """torch.empty gives NaN (integers: their largest value), so that reading what was never written shows."""
    settings_of = torch.utils.deterministic
    deterministic, fill = torch.are_deterministic_algorithms_enabled(), settings_of.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    settings_of.fill_uninitialized_memory = True
    yield
    torch.use_deterministic_algorithms(deterministic)
    settings_of.fill_uninitialized_memory = fill
