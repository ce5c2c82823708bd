"""The host's share: every path runs as it ships up to the launches, which are counted and go nowhere."""

import pytest
import torch

from benchmarks.__main__ import main
from benchmarks.gpu_report.cuda.decoder import on_cuda
from benchmarks.gpu_report.decoder import on_eager
from benchmarks.gpu_report.triton.decoder import on_triton
from benchmarks.host import passes
from benchmarks.host.no_device import Count, CudaEngine, no_triton_device
from benchmarks.host.passes import RATE, SIZES, HostPass, measure

FEW = SIZES._replace(target=3)


def counts(found):
    return [(one.launches, one.library) for one in found]


def expected(traced):
    return [(len(one.launches), len(one.library)) for one in traced]


def test_eagers_kernels_are_those_of_the_gpu_report():
    assert counts(measure("eager", "lstm", 1, FEW)) == expected(on_eager(FEW, "lstm", torch.float32))


def test_tritons_launches_are_those_that_ship_and_its_driver_is_put_back():
    from triton.runtime.driver import driver

    before = driver._active
    found = measure("triton", "gru", 1, FEW)
    assert driver._active is before
    assert counts(found) == expected(on_triton(FEW, "gru", torch.float32))
    assert all(one.seconds > 0 for one in found)


@pytest.mark.parametrize(("path", "cooperative"), [("cuda by position", False), ("cuda in one launch", True)])
def test_the_cuda_engines_launches_are_those_that_ship(path, cooperative):
    device = CudaEngine(passes.described(RATE)).device(torch.empty(0))
    device = type(device)(device.multiprocessors, device.shared_bytes, cooperative)
    whole = on_cuda(FEW, "gru", torch.float32, device)
    assert counts(measure(path, "gru", 1, FEW)) == expected(whole)
    assert (whole[0].launches[0].name == "attention_decoder.decoder_kernel") == cooperative


def test_the_driver_is_put_back_after_an_error():
    from triton.runtime.driver import driver

    before = driver._active
    with pytest.raises(ZeroDivisionError), no_triton_device(RATE):
        assert driver.active is not before
        raise ZeroDivisionError
    assert driver._active is before


def test_the_fastest_round_counts_and_the_first_call_does_not():
    count, calls = Count(), []

    def call():
        calls.append(1)
        count.launches += 2
        if len(calls) in (1, 4):
            torch.zeros(1 << 20).sum()
        return "result"

    (launches, library, seconds), results = passes._timed(call, count, 3)
    assert (launches, library, results, len(calls)) == (2, 0, "result", 5)
    assert 0 < seconds < 0.01


def test_the_command_prints_a_line_for_each_pass(monkeypatch, capsys):
    from benchmarks.host import command

    def made(path, cell, rounds):
        assert torch.get_num_threads() == 1
        return [HostPass(path, cell, passed, 40, 10, 0.005) for passed in ("forward", "backward")]

    monkeypatch.setattr(command, "measure", made)
    assert main(["host", "--path", "triton", "--cell", "gru"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["triton", "gru", passed, "40", "10", "100.0", "100.0"] for passed in ("forward", "backward")
    ]
    with pytest.raises(SystemExit):
        main(["host", "--rounds", "0"])
    assert "--rounds is at least 1, not 0" in capsys.readouterr().err
