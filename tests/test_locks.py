"""Locks of files."""

import errno
import os
import threading

import pytest

from seq2seq_fast.locks import Taken, locked


def test_a_held_lock_is_refused_with_its_holder(tmp_path):
    with locked(tmp_path / "lock"):
        with pytest.raises(Taken, match=f"process {os.getpid()} on "), locked(tmp_path / "lock"):
            pass
        with pytest.raises(Taken, match=f"process {os.getpid()} on "), locked(tmp_path / "lock"):
            pass
    with locked(tmp_path / "lock"):
        pass


def test_who_waits_is_told_of_the_holder_and_names_itself_when_its_turn_comes(tmp_path):
    holders, turns = [], []
    told = threading.Event()

    def waiting(holder):
        holders.append(holder)
        told.set()

    def wait():
        with locked(tmp_path / "lock", waiting):
            turns.append((tmp_path / "lock").read_bytes())

    with locked(tmp_path / "lock"):
        name = (tmp_path / "lock").read_bytes()
        thread = threading.Thread(target=wait)
        thread.start()
        assert told.wait(60)
        assert not turns
    thread.join(60)
    assert holders == [name.decode().strip()]
    assert turns == [name]
    assert (tmp_path / "lock").read_bytes() == b""


@pytest.mark.parametrize("waiting", [None, lambda holder: None])
def test_a_file_system_without_locks_stops_no_work(tmp_path, monkeypatch, waiting):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    with locked(tmp_path / "lock", waiting):
        assert (tmp_path / "lock").read_bytes()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")
def test_a_forked_process_that_leaves_the_block_closes_no_other_file(tmp_path):
    with locked(tmp_path / "lock"):
        child = os.fork()
        if child == 0:
            other = os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT)  # gets the number of the lock that was let go
    if child == 0:
        try:
            os.write(other, b"open still")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert (tmp_path / "other").read_bytes() == b"open still"
