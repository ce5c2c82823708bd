"""Processes that are killed while they make a store of pairs."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

SCRIPT = """
import sys, time
from seq2seq_fast.data import InMemoryCorpus, SentencePair, build_vocabulary, encoding, open_store
vocabulary = build_vocabulary(["ja nein"], "words", 50)
encoding._BLOCK = 2
if sys.argv[2] == "slowly":
    encode = encoding._encode
    def slow(*arguments):
        time.sleep(600)
    encoding._encode = slow
pairs = [SentencePair("ja", "nein")] * 20
print(len(open_store(sys.argv[1], InMemoryCorpus(pairs), vocabulary, vocabulary, workers=2)), flush=True)
"""


def started(folder, how):
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder), how], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def children(process):
    with open(f"/proc/{process.pid}/task/{process.pid}/children") as found:
        return [int(number) for number in found.read().split()]


def wait_for(condition, seconds=120):
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.02)
    assert condition()


def is_running(number):
    with suppress(OSError), open(f"/proc/{number}/stat") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    return False


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="needs /proc to see a process's children")
@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_their_parent_and_the_next_run_says_for_whom_it_waits(tmp_path, sign):
    first = started(tmp_path, "slowly")
    second = None
    try:
        wait_for(lambda: first.poll() is None and len(children(first)) == 2)
        workers = children(first)
        second = started(tmp_path, "at once")
        said = second.stderr.readline()
        assert re.search(f": waiting for process {first.pid} on .*, which makes it", said)
        first.send_signal(sign)
        assert second.communicate(timeout=120)[0] == "20\n"
        wait_for(lambda: not any(map(is_running, workers)))
    finally:
        for process in (first, second):
            if process is not None:
                process.kill()
                process.communicate()
