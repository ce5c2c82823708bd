"""Children that hang, crash, answer wrongly and answer rightly; here none has torch to load."""

import os
import subprocess
import sys
import time

import pytest

from seq2seq_fast.certificate import CannotTry, Limits
from seq2seq_fast.certificate.trial import try_tasks
from tests.certificate.subjects import TASKS

QUICK = Limits(start=20.0, task=1.0, all=60.0)


def tried(*behaviours, limits=QUICK, progress=lambda text: None):
    command = (sys.executable, "-m", "tests.certificate.children", *behaviours)
    return list(try_tasks(TASKS, command, progress, limits).values())


def test_a_child_that_answers_rightly_leaves_nothing_wrong_and_tells_what_it_tries():
    told = []
    assert tried("gru=noise", progress=told.append) == [""] * 4
    assert told[0] == "1 of 4: attention_decoder gru float32 forward" and len(told) == 4


def test_a_wrong_answer_is_what_it_says():
    assert tried("backward=wrong") == ["", "off by 3", "", "off by 3"]


def test_a_crash_fails_the_task_that_ran_and_no_other():
    wrong = tried("backward=crash")
    assert wrong[0] == wrong[2] == ""
    assert wrong[1].startswith("ended by SIGSEGV") and wrong[3].startswith("ended by SIGSEGV")


def test_a_hang_fails_after_its_time_and_the_child_is_gone():
    began = time.monotonic()
    wrong = tried("gru=hang", limits=Limits(start=20.0, task=0.3, all=60.0))
    assert wrong == ["gave no answer within 0.3 seconds"] * 2 + [""] * 2 and time.monotonic() - began < 30
    children = subprocess.run(["ps", "-o", "args=", "--ppid", str(os.getpid())], capture_output=True, text=True).stdout
    assert "tests.certificate.children" not in children


def test_what_ends_every_child_is_tried_no_more():
    wrong = tried("gru=exit", "lstm=crash")
    assert wrong[0] == wrong[1] == "ended with status 1: no kernel image" and wrong[2].startswith("ended by SIGSEGV")
    assert wrong[3].startswith("not tried")


def test_a_child_that_lost_its_device_is_followed_by_another():
    assert tried("gru=lose") == [""] * 4


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        ("start=crash", "SIGSEGV"),
        ("start=hang", "no answer"),
        ("start=exit", "no kernel image"),
        ("lstm=full", "out of"),
    ],
)
def test_what_is_no_fault_of_a_task_is_no_verdict(behaviour, why):
    with pytest.raises(CannotTry, match=why):
        tried(behaviour, limits=Limits(start=20.0 if "hang" not in behaviour else 0.5, task=1.0, all=60.0))


def test_a_trial_without_end_is_given_up():
    with pytest.raises(CannotTry, match="tries took longer than"):
        tried("gru=slow", "lstm=slow", limits=Limits(start=20.0, task=5.0, all=0.6))


def test_a_program_that_is_not_there_is_no_verdict():
    with pytest.raises(CannotTry, match="cannot be started"):
        try_tasks(TASKS, ("/nowhere/python",), lambda text: None, QUICK)
