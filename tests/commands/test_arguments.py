"""Command lines: in which order, in which locale, and with which values nobody should give."""

import os
import shutil
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2seq_fast import cli
from seq2seq_fast.commands import translate
from seq2seq_fast.commands.arguments import positionals_first
from tests.commands import test_bad_input

model = test_bad_input.model
DIGITS = "9" * 5000


@pytest.fixture
def text(tmp_path):
    (tmp_path / "text").write_text("ein Hund\n")
    return tmp_path / "text"


PARSER = translate.make_parser()


@given(
    places=st.lists(st.integers(0, 4), min_size=2, max_size=2),
    flags=st.permutations([["--search.beam_size", "1"], ["--lines=3"], ["--n_best", "-1"], ["--format", "jsonl"]]),
)
def test_what_no_flag_takes_may_stand_anywhere(places, flags):
    arguments = [list(flag) for flag in flags]
    for place, positional in sorted(zip(places, ["IN", "MODEL"], strict=True), reverse=True):
        arguments.insert(place, [positional])
    in_order = [one[0] for one in arguments if one[0] in ("IN", "MODEL")]
    flat = [part for one in arguments for part in one]
    assert positionals_first(PARSER, flat) == [*in_order, *(part for flag in flags for part in flag)]


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ("M --search.beam 1 IN", "M IN --search.beam 1"),
        ("--lines 2 M -", "M - --lines 2"),
        ("M --ensemble A B --lines 2 IN", "M IN --ensemble A B --lines 2"),
        ("M --ensemble A B", "M --ensemble A B"),
        ("--lines 2 -- M -x", "--lines 2 -- M -x"),
        ("M --lines 2 -- -x", "--lines 2 -- M -x"),
        ("M --help IN", "M IN --help"),
        ("M --no_such 1 IN", "M IN --no_such 1"),
    ],
)
def test_flags_keep_their_values(arguments, wanted):
    assert positionals_first(PARSER, arguments.split()) == wanted.split()


def test_a_flag_between_model_and_input_changes_nothing(model, text, tmp_path, capsys):
    assert cli.main(["translate", str(model), str(text), "--search.beam_size", "1"]) == 0
    wanted = capsys.readouterr().out
    assert cli.main(["translate", str(model), "--search.beam_size", "1", str(text)]) == 0
    assert capsys.readouterr().out == wanted
    assert cli.main(["average", str(model), "--output", str(tmp_path / "out"), str(model)]) == 0
    assert cli.main(["align", "--src", str(text), str(model)]) == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["--search.beam_size", DIGITS],
        ["--search.length_penalty", DIGITS],
        ["--lines", "0x" + "f" * 5000],
        ["--search.max_length", "9" * 30],
        ["--search.beam_size", "0x" + "f" * 5000],
        ["--search", "[" * 5000],
        ["--search", "{a: " * 3000],
        ["--n_best", "[1" * 3000],
        ["--search.length_ratio", "1" + "0" * 400],
        ["--prefix", "\udcff"],
        ["--prefixes", "a\0b"],
        ["--prefix", "a\0b"],
        ["--ensemble", "a\0b"],
        ["--device", f"cuda:{DIGITS}"],
        ["--%s", "%d"],
        ["--format", "%(prog)s"],
    ],
    ids=lambda arguments: " ".join(part[:20] for part in arguments).encode("ascii", "backslashreplace").decode(),
)
def test_a_value_that_nobody_should_give_is_one_short_line(model, text, capsys, arguments):
    assert cli.main(["translate", str(model), str(text), *arguments]) == (0 if arguments[0] == "--lines" else 2)
    err = capsys.readouterr().err
    assert arguments[0] == "--lines" or (err.startswith("seq2seq-fast: error: ") and len(err.splitlines()) == 1)
    assert len(err) < 500 or "cuda" in err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("data: " + "[" * 20000, "nested too deeply"),
        ("{a: " * 20000, "nested too deeply"),
        (f"training: {{max_epochs: {DIGITS}}}", "has too many digits for a number"),
        ("training: {max_epochs: 2020-13-45}", "month must be in 1..12"),
        ("data: &a {folder: *a}", "data.folder"),
        ('data: {train_source: "a\\0b"}', "train.data.train_source: 'a\\x00b' has a NUL"),
        ("model: {source_size: 0x" + "f" * 300 + "}", "source_size must be at most 2,147,483,647"),
        ("data: {batch_tokens: 0x" + "f" * 5000 + "}", "batch_tokens must be a number of at most 32 bits"),
    ],
    ids=lambda value: value[:30],
)
def test_a_configuration_that_nobody_should_give_is_one_short_line(tmp_path, capsys, content, said):
    (tmp_path / "c.yaml").write_text(content)
    assert cli.main(["train", "--config", str(tmp_path / "c.yaml")]) == 2
    err = capsys.readouterr().err
    assert said in err and len(err.splitlines()) == 1 and len(err) < 500


def test_names_keys_and_words_are_utf_8_whatever_the_locale(model, tmp_path):
    shutil.copytree(model, tmp_path / "mödel")
    (tmp_path / "text.ü").write_text("ein Hund\n", encoding="utf-8")
    ascii_alone = os.environ | {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    command = [sys.executable, "-m", "seq2seq_fast", "translate", "mödel", "text.ü", "--prefix"]
    found = [
        subprocess.run([*command, prefix], cwd=tmp_path, env=ascii_alone, capture_output=True, encoding="utf-8")
        for prefix in ("Hund", "Über")
    ]
    assert found[0].returncode == 0 and found[0].stdout.startswith("Hund")
    wanted = "seq2seq-fast: error: the prefix 'Über' has a piece that the target vocabulary lacks: it cannot be kept\n"
    assert (found[1].returncode, found[1].stderr) == (2, wanted)


def test_names_that_are_no_text_are_names(model, text, tmp_path, capsys):
    source = text.rename(tmp_path / "\udcff")
    pair = ["--src", str(source), "--ref", str(source)]
    assert cli.main(["evaluate", str(model), *pair, "--by_length", str(tmp_path / "\udcff.png")]) == 0
    assert cli.main(["translate", str(model), str(tmp_path / "\udcfe")]) == 2
    assert "no such file" in capsys.readouterr().err and (tmp_path / "\udcff.png").is_file()
