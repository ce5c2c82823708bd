"""Prepared launches pass what Triton's own pass, at a fraction of its time, and give way where they may not."""

import itertools
import time
from contextlib import contextmanager

import pytest
import torch
import triton
from triton.runtime.driver import driver

from benchmarks.gpu_report.machine_code.devices import RATES
from benchmarks.host import no_device
from seq2seq_fast.triton_kernels import gru_cell, kernel, prepared
from seq2seq_fast.triton_kernels.kernel import Each
from tests.triton_kernels.launches import noted

NUMBERS = itertools.count(1 << 26)
POSITIONS, ROWS, SIZE = 5, 3, 16


@contextmanager
def device(number, stream=7):
    """A device of the test's own, and what it is asked to launch."""
    passed = []
    with no_device.no_triton_device(RATES["H100"]):
        active = driver.active
        active.get_current_device = lambda: number
        active.get_current_stream = lambda _=None: stream

        class Launcher:
            def __init__(self, *_):
                pass

            def __call__(self, *arguments):
                passed.append(arguments)

        active.launcher_cls = Launcher
        yield passed


@pytest.fixture
def number(monkeypatch):
    monkeypatch.setattr(prepared, "_trusted", True)
    return next(NUMBERS)


def launches(entries, size=SIZE):
    """A GRU's gates, one launch a position."""
    gates, hidden = entries
    made = torch.empty(POSITIONS, ROWS, size), torch.empty(POSITIONS, ROWS, 3 * size)
    strides = gates.stride(1), gates.stride(1), hidden.stride(1)
    arguments = [Each(gates), strides[0], Each(gates), strides[1], Each(hidden), strides[2], *map(Each, made), size, 1]
    return gru_cell._gates_kernel.launch(ROWS, *arguments, BLOCK=32, num_warps=1)


def entries(size=SIZE, dtype=torch.float32):
    return torch.zeros(POSITIONS, ROWS, 3 * size, dtype=dtype), torch.zeros(POSITIONS, ROWS, size, dtype=dtype)


def addresses(arguments):
    return [a.data_ptr() if isinstance(a, torch.Tensor) else a for a in arguments]


@pytest.mark.parametrize("size", [SIZE, 12, 7])
def test_a_prepared_launch_passes_what_tritons_own_passes(number, monkeypatch, size):
    launch = launches(entries(size), size)
    with device(number) as passed:
        prepared_launch = launches(entries(size), size)
        for i in range(POSITIONS):
            prepared_launch(i)
        assert prepared_launch._direct is not None
        twice = [*passed]
        passed.clear()
        for i in range(POSITIONS):
            prepared_launch(i)
        direct = [*passed]
        monkeypatch.setattr(prepared, "_trusted", False)
        passed.clear()
        by_triton = kernel.Launch(launch._kernel, ROWS, prepared_launch._arguments, prepared_launch._constants)
        for i in range(POSITIONS):
            by_triton(i)
        assert by_triton._direct is None
    expected = [(*given[:6], *addresses(given[9:])) for given in passed]
    assert len(expected) == POSITIONS
    assert [(*given[:6], *addresses(given[9:])) for given in twice] == expected
    assert [(*given[:6], *given[9:]) for given in direct] == expected
    assert all(isinstance(a, int | bool) for given in direct for a in given[9:])


def test_a_variant_is_prepared_for_its_device_dtypes_and_form_alone(number):
    def is_prepared(given, size=SIZE):
        launch = launches(given, size)
        return launch._direct is not None

    with device(number):
        launch = launches(entries())
        launch(0), launch(1)
        assert is_prepared(entries())
        assert not is_prepared(entries(dtype=torch.bfloat16))
        assert not is_prepared(entries(12), 12)
        misaligned = [torch.zeros(t.numel() + 1)[1:].view(t.shape) for t in entries()]
        assert not is_prepared(misaligned)
    with device(next(NUMBERS)):
        assert not is_prepared(entries())


def test_launches_go_to_the_stream_that_is_current_when_they_are_made(number):
    given = entries()
    with device(number) as passed:
        for stream in (7, 9):
            driver.active.get_current_stream = lambda _=None, stream=stream: stream
            passed.clear()
            launch = launches(given)
            for i in range(3):
                launch(i)
            assert [arguments[3] for arguments in passed] == [stream] * 3


def test_what_replaces_or_watches_tritons_launch_sees_every_launch(number):
    with device(number):
        launch = launches(entries())
        launch(0), launch(1)
        assert launches(entries())._direct is not None
        with noted() as seen:
            launches(entries())(2)
        assert len(seen) == 1
        told = []
        triton.knobs.runtime.launch_enter_hook.add(told.append)
        try:
            assert launches(entries())._direct is None
        finally:
            triton.knobs.runtime.launch_enter_hook.remove(told.append)
        assert launches(entries())._direct is not None


def test_a_triton_that_passes_something_else_launches_all_itself_and_one_warning_says_so(number, monkeypatch):
    head = prepared.Prepared.head
    monkeypatch.setattr(prepared.Prepared, "head", lambda self, *given: [*head(self, *given)[:5], "new"])
    with device(number) as passed:
        launch = launches(entries())
        launch(0)
        with pytest.warns(UserWarning, match=r"triton .* launched by Triton's own launcher"):
            launch(1)
        launch(2)
        assert len(passed) == 3 and launch._direct is None and not prepared.possible()


def test_a_triton_whose_kernels_are_made_otherwise_launches_itself_too(number):
    launched = []
    with device(number), pytest.warns(UserWarning, match="Triton's own launcher"):
        assert prepared.prepare(object(), lambda: launched.append(1), 1, [], ()) is None
    assert launched == [1]


def fastest(call, repeats=300, calls=10):
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        for _ in range(calls):
            call()
        seconds.append(time.perf_counter() - began)
    return min(seconds) / calls


def test_a_prepared_launch_costs_the_host_a_fraction_of_tritons_own(number):
    given = entries()
    with device(number) as passed:
        launch = launches(given)
        launch(0), launch(1)
        arguments = [kernel.at(argument, 0) for argument in launch._arguments]
        own = launch._kernel.forms[True][(ROWS,)]
        options = {**launch._constants, "WIDE": True, "enable_fp_fusion": True}
        by_triton = fastest(lambda: own(*arguments, **options))
        position = fastest(lambda: launch(2))
        passed.clear()
    assert position < by_triton / 4, f"{1e6 * position:.1f} us, Triton's own {1e6 * by_triton:.1f}"
