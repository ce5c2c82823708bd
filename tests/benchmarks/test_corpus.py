"""The measurement of large corpora, on a small one."""

import multiprocessing

import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.corpus.processes import TreeWatch, resident


def test_a_thousand_pairs_go_through_every_phase(tmp_path, capsys):
    given = ("--pairs", "1000", "--distinct", "300", "--sentences", "200", "--folder", str(tmp_path))
    assert main(["corpus", *given]) == 0
    rows = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    rows = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert [row[:2] for row in rows[1:]] == [
        ["generate", "300"], ["write", "1,000"], ["read, vocabulary", "1,000"], ["tokenise", "1,000"],
        ["open, plan", "1,000"], ["epoch of batches", "1,000"],
    ]  # fmt: skip
    for row in rows[1:]:
        seconds, *_, own, mapped = (float(cell.replace(",", "")) for cell in row[2:])
        assert seconds >= 0 and 50 < own < 10_000 and mapped > 10
    lines = (tmp_path / "train.de").read_text(encoding="utf-8").splitlines()
    assert len(set(lines)) == len(lines) == 1000
    assert lines[950] == f"{lines[50]} 3"


def test_numbers_out_of_range_are_refused(capsys):
    with pytest.raises(SystemExit):
        main(["corpus", "--pairs", "0"])
    assert "at least 1" in capsys.readouterr().err


def _hold(size, ready, done):
    held = np.ones(size, np.uint8)
    ready.set()
    done.wait(60)
    assert held[-1] == 1


def test_memory_and_time_of_a_child_process_count():
    context = multiprocessing.get_context("fork")
    ready, done = context.Event(), context.Event()
    before = resident()
    with TreeWatch(interval=0.01) as watch:
        child = context.Process(target=_hold, args=(200_000_000, ready, done))
        child.start()
        ready.wait(60)
        during = resident()
        done.set()
        child.join()
    assert during.own > before.own + 190_000_000
    assert 0 < watch.processor_seconds <= 2 * watch.seconds + 1
