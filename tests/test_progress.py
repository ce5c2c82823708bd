"""What long work says of itself."""

import io
import os
import sys

from seq2seq_fast import progress
from seq2seq_fast.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_without_a_terminal_there_is_a_line_now_and_then(monkeypatch, capsys):
    seconds = iter(range(0, 10_000, 25))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(seconds)))
    with Progress("tokenise", "pairs", 5000) as shown:
        assert list(shown.over(range(5))) == [0, 1, 2, 3, 4]
        shown.add(1000)
    # A minute has passed at the third and at the sixth call.
    assert capsys.readouterr().err == (
        "tokenise: 3 of 5,000 pairs, 0 a second\ntokenise: 1,005 of 5,000 pairs, 7 a second\n"
    )


def test_a_terminal_gets_a_bar_that_goes_away(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with Progress("translate", "lines", 10) as shown:
        shown.add(10)
    written = sys.stderr.getvalue()
    assert "translate" in written and "\n" not in written and written.endswith("\r")


def test_work_whose_reader_has_gone_goes_on(monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as gone:
        monkeypatch.setattr(sys, "stderr", gone)
        with Progress("translate", "lines", every=0.0) as shown:
            shown.add()
            shown.add()
        print("more", file=sys.stderr, flush=True)


def test_work_that_is_to_be_quiet_says_nothing(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with Progress("translate", "lines", every=0.0, shown=False) as shown:
        shown.add()
    assert sys.stderr.getvalue() == ""


def test_what_is_told_does_not_steer_a_terminal(capsys):
    progress.tell("a\x1b[31mb\x07 \x9bc\td ü")
    assert capsys.readouterr().err == "a\\x1b[31mb\\x07 \\x9bc\td ü\n"
