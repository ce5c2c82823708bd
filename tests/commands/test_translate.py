"""``seq2seq-fast translate``: what it draws, and when it answers."""

import json
import os
import subprocess
import sys
import threading

import pytest

from seq2seq_fast import cli
from seq2seq_fast.commands.input import StandardInput, blocks
from seq2seq_fast.data import build_vocabulary
from seq2seq_fast.decoding import save_model_folder
from tests.decoding.models import small_model

LINES = ["ein Hund", "der kleine Hund sieht die Katze", "", "zwei Hunde und drei Katzen"]


def run(*arguments):
    return cli.main(["translate", *map(str, arguments)])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    vocabulary = build_vocabulary(LINES, "words", 40)
    network = small_model(len(vocabulary), source_vocabulary=len(vocabulary), sharpness=3.0, end=1.0)
    return save_model_folder(tmp_path_factory.mktemp("model"), network, vocabulary, vocabulary)


@pytest.fixture
def text(tmp_path):
    (tmp_path / "text").write_text("".join(f"{line}\n" for line in LINES), encoding="utf-8")
    return tmp_path / "text"


def test_draws_are_as_many_as_asked_and_follow_the_seed_alone(model, text, capsys):
    drawn = {}
    for seed, lines in ((1, 512), (1, 1), (2, 512)):
        given = ("--search.sample", "true", "--search.seed", seed, "--lines", lines, "--n_best", 7)
        assert run(model, text, *given, "--search.temperature", 2.0, "--format", "jsonl") == 0
        drawn[seed, lines] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    texts = {key: [[one["text"] for one in each["translations"]] for each in found] for key, found in drawn.items()}
    assert texts[1, 512] == texts[1, 1] != texts[2, 512]
    assert [len(each) for each in texts[1, 512]] == [7, 7, 1, 7]
    assert run(model, text, "--search.sample", "true", "--n_best", 0) == 2
    assert "n_best must" in capsys.readouterr().err


@pytest.fixture
def pipe(monkeypatch):
    """A pipe for standard input, and what writes to it."""
    reading, writing = os.pipe()
    with open(reading, encoding="utf-8") as stdin, open(writing, "wb", buffering=0) as stream:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield stream


def test_lines_that_have_come_are_a_block_and_a_half_one_waits(pipe):
    source = StandardInput()
    found = blocks(source.lines(), 3, source.at_hand)
    pipe.write(b"one\n")
    assert next(found) == ["one"]
    pipe.write("two\nthree\nf\u00fc".encode())
    assert next(found) == ["two", "three"]
    pipe.write(b"nf\n1\n2\n3\n4")
    assert next(found) == ["f\u00fcnf", "1", "2"] and next(found) == ["3"]
    pipe.close()
    assert list(found) == [["4"]]


def test_what_comes_without_a_pause_is_translated_together(pipe):
    lines = [f"{number} " + "x" * 300 for number in range(2000)]
    writer = threading.Thread(
        target=lambda: (pipe.write("".join(f"{line}\n" for line in lines).encode()), pipe.close())
    )
    writer.start()
    source = StandardInput()
    found = list(blocks(source.lines(), 512, source.at_hand))
    writer.join()
    assert [len(block) for block in found] == [512, 512, 512, 464]
    assert [line for block in found for line in block] == lines


def test_a_pipe_that_waits_is_answered(model, text, capsys):
    assert run(model, text) == 0
    wanted = capsys.readouterr().out.splitlines()
    command = [sys.executable, "-m", "seq2seq_fast.cli", "translate", str(model)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8", bufsize=1
    ) as process:
        ending = threading.Timer(120, process.kill)
        ending.start()
        for line, translation in zip(LINES, wanted, strict=True):
            process.stdin.write(f"{line}\n")
            process.stdin.flush()
            assert process.stdout.readline() == f"{translation}\n"
        process.stdin.close()
        assert process.wait() == 0
        ending.cancel()
