"""Where a verdict comes from: the file, this process's trial or another's."""

import os
import subprocess
import sys
import warnings

import pytest

from seq2seq_fast.certificate import Limits, Verdict, gate, may_try, obtain, read, warn_of
from tests.certificate.subjects import SUBJECT, TASKS

QUICK = Limits(start=20.0, task=1.0, all=60.0)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SEQ2SEQ_FAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SEQ2SEQ_FAST_CERTIFY", raising=False)
    return tmp_path / "cache"


def obtained(*behaviours, **options):
    command = (sys.executable, "-m", "tests.certificate.children", *behaviours)
    return obtain(SUBJECT, TASKS, command, limits=QUICK, **options)


def test_a_trial_is_made_once_told_and_kept(tmp_path, capsys):
    count = tmp_path / "count"
    found = obtained(f"count={count}")
    assert found.passes(*TASKS) and read(SUBJECT) == found
    said = capsys.readouterr().err
    assert "trying stand_in on a device, once" in said and "4 of 4 tries were right" in said
    assert obtained(f"count={count}") == found and count.read_text() == "tried\n"
    assert capsys.readouterr().err == ""
    assert obtained(f"count={count}", "gru=wrong", again=True).failures() and count.read_text() == "tried\n" * 2
    assert read(SUBJECT).failures()


@pytest.mark.parametrize("content", [b"", b"{", b"null"])
def test_a_damaged_file_is_made_anew(content):
    SUBJECT.path.parent.mkdir(parents=True)
    SUBJECT.path.write_bytes(content)
    assert obtained().passes(*TASKS) and read(SUBJECT).passes(*TASKS)


def test_what_cannot_be_tried_is_warned_of_and_not_kept():
    with pytest.warns(UserWarning, match="stand_in could not be tried on a device.*out of memory"):
        assert obtained("gru=full") is None
    assert not SUBJECT.path.exists() and obtained().passes(*TASKS)


def test_what_cannot_be_kept_serves_this_process(cache):
    cache.write_text("a file where the folder should be")
    with pytest.warns(UserWarning, match="cannot be kept"):
        assert obtained().passes(*TASKS)


def test_an_error_of_a_trial_is_not_taken_for_one_of_the_lock(monkeypatch):
    tries = []

    def fail(*_):
        tries.append(1)
        raise OSError("the terminal has gone")

    monkeypatch.setattr("seq2seq_fast.certificate.gate.try_tasks", fail)
    with pytest.raises(OSError, match="terminal has gone"):
        obtained()
    assert len(tries) == 1


def test_a_warning_names_what_failed_and_what_to_do():
    verdict = Verdict(SUBJECT, dict.fromkeys(TASKS, ""))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of(verdict)
    verdict.results[TASKS[1]] = "off by 3"
    with pytest.warns(UserWarning, match="gru float32 backward: off by 3. `seq2seq-fast doctor`"):
        warn_of(verdict)


PROGRAM = """
import sys
from seq2seq_fast.certificate import obtain
from tests.certificate.subjects import SUBJECT, TASKS
command = (sys.executable, "-m", "tests.certificate.children", "start=slow", "count=" + sys.argv[1])
print(obtain(SUBJECT, TASKS, command).passes(*TASKS))
"""


def test_of_two_processes_one_tries_and_both_know(tmp_path):
    count = tmp_path / "count"
    both = [
        subprocess.Popen([sys.executable, "-c", PROGRAM, str(count)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [process.communicate(timeout=120)[0] for process in both] == ["True\n"] * 2
    assert count.read_text() == "tried\n"


def test_who_waits_in_vain_goes_on_without(monkeypatch):
    lock = SUBJECT.path.with_suffix(".lock")
    lock.parent.mkdir(parents=True)
    with gate.locked(lock), pytest.warns(UserWarning, match=f"process {os.getpid()} .*does not come to an end"):
        assert obtain(SUBJECT, TASKS, (sys.executable,), limits=Limits(start=0.1, task=0.1, all=0.1)) is None


def test_nothing_is_tried_where_the_environment_forbids_it_or_the_process_was_forked(monkeypatch):
    assert may_try()
    monkeypatch.setenv("SEQ2SEQ_FAST_CERTIFY", "0")
    assert not may_try()
    monkeypatch.setenv("SEQ2SEQ_FAST_CERTIFY", "1")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, b"may" if may_try() else b"may not")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 10) == b"may not" and may_try()
    os.close(reader), os.close(writer)
