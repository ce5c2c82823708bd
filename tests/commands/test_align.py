"""``seq2seq-fast align``."""

import pytest

from seq2seq_fast import cli
from seq2seq_fast.data import build_vocabulary
from seq2seq_fast.data.pharaoh import read_pharaoh
from seq2seq_fast.decoding import Translator, save_model_folder
from tests.decoding.models import small_model

LINES = ["ein Hund", "der kleine Hund sieht die Katze", "", "zwei Hunde und drei Katzen"]


def run(*arguments):
    return cli.main(["align", *map(str, arguments)])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    vocabulary = build_vocabulary(LINES, "words", 40)
    network = small_model(len(vocabulary), source_vocabulary=len(vocabulary), sharpness=3.0, end=1.0)
    return save_model_folder(tmp_path_factory.mktemp("model"), network, vocabulary, vocabulary)


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text"
    path.write_text("".join(f"{line}\n" for line in LINES), encoding="utf-8")
    return path


def test_given_pairs_are_linked_drawn_and_compared(model, text, tmp_path, capsys):
    assert run(model, "--src", text, "--ref", text) == 0
    out = capsys.readouterr().out
    (tmp_path / "gold").write_text(out)
    found = read_pharaoh(tmp_path / "gold")
    for line, links in zip(LINES, found, strict=True):
        words = len(line.split())
        assert all(i < words and j < words for i, j in links)
    picture = ("--picture", tmp_path / "map.svg", "--lines", 2, 4)
    assert run(model, "--src", text, "--ref", text, "--gold", tmp_path / "gold", *picture) == 0
    assert capsys.readouterr().out == "AER 0.000, precision 1.000, recall 1.000\n"
    assert (tmp_path / "map.svg").read_text().startswith("<?xml")


def test_a_threshold_links_more_words_and_columns_widen_the_sheet(model, text, tmp_path):
    import xml.etree.ElementTree as xml

    found, widths = {}, {}
    for threshold, columns in ((0.9, 1), (0.01, 2)):
        picture, output = tmp_path / f"{columns}.svg", tmp_path / "links"
        drawn = ("--picture", picture, "--lines", 2, 4, "--columns", columns, "--output", output)
        assert run(model, "--src", text, "--ref", text, "--threshold", threshold, *drawn) == 0
        found[threshold] = {(line, link) for line, links in enumerate(read_pharaoh(output)) for link in links}
        widths[columns] = float(xml.parse(picture).getroot().get("width").removesuffix("pt"))
    assert found[0.9] < found[0.01]
    assert widths[1] < widths[2]


def test_own_translations_are_linked_and_written(model, text, tmp_path, capsys):
    files = ("--output", tmp_path / "links", "--translations", tmp_path / "out")
    assert run(model, "--src", text, *files, "--search.beam_size", 2) == 0
    assert capsys.readouterr().out == ""
    translations = (tmp_path / "out").read_text(encoding="utf-8").splitlines()
    assert len(read_pharaoh(tmp_path / "links")) == len(translations) == len(LINES)
    assert len(Translator.load(model).translate(LINES)) == len(translations)


@pytest.mark.parametrize("side", ["--src", "--ref"])
def test_a_huge_line_of_either_side_is_named(model, text, tmp_path, capsys, side):
    huge = tmp_path / "huge"
    huge.write_text(text.read_text(encoding="utf-8").replace("ein Hund", "Hund " * 6000), encoding="utf-8")
    files = {"--src": text, "--ref": text} | {side: huge}
    assert run(model, *(part for flag in files.items() for part in flag)) == 2
    wanted = "line 1 has 6,000 pieces, more than search.max_source_length, 5,000: split it, or raise that"
    assert capsys.readouterr().err == f"seq2seq-fast: error: {huge}: {wanted}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--gold", "TEXT"], "give them with --ref"),
        (["--picture", "map.gif"], "map.gif: a picture's name ends in .png, .svg or .pdf"),
        (["--picture", "map.png", "--lines", "9"], "--lines 9: "),
        (["--output", "TEXT"], "is one of the files to read"),
        (["--translations", "-"], "--translations - is no file: name one"),
        (["--output", "same", "--translations", "same"], "--translations same is one of the files to write already"),
        (["--output", "."], "--output . is a folder: name a file"),
        (["--ref", "TEXT", "--gold", "FAR"], "line 1: 7-0 is beyond its 2 and 2 words"),
        (["--ref", "TEXT", "--gold", "TEXT"], "line 1: 'ein' is no link"),
    ],
)
def test_a_user_error_is_one_line(model, text, tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "far").write_text("7-0\n0-0\n\n0-0\n")
    names = {"TEXT": text, "FAR": tmp_path / "far"}
    assert run(model, "--src", text, *[names.get(argument, argument) for argument in arguments]) == 2
    err = capsys.readouterr().err
    assert message in err and len(err.splitlines()) == 1 and text.read_text().startswith("ein Hund")
    assert {path.name for path in tmp_path.iterdir()} == {"text", "far"}


@pytest.mark.parametrize("long", ["cut", "split", "skip"])
def test_long_sentences_are_done_with_as_asked_and_lines_keep_their_places(model, tmp_path, capsys, long):
    text, short = tmp_path / "text", LINES[0]
    text.write_text(f"{short}\n{short} . {short} .\n{short}\n", encoding="utf-8")
    most = len(Translator.load(model).source_vocabulary.encode(f"{short} ."))
    flags = ("--search.max_source_length", most, "--long", long, "--threshold", 0, "--search.min_length", 3)
    assert run(model, "--src", text, "--translations", tmp_path / "out", *flags) == 0
    out, err = capsys.readouterr()
    (tmp_path / "links").write_text(out)
    first, second, third = read_pharaoh(tmp_path / "links")
    translations = (tmp_path / "out").read_text(encoding="utf-8").splitlines()
    assert first == third and err.count("line 2 is too long") == 1 and len(err.splitlines()) == 1
    words, sources = len(translations[1].split()), len(short.split()) + 1
    assert {target for _, target in second} == set(range(words))
    wanted = {"cut": sources, "split": 2 * sources, "skip": 0}[long]
    assert {source for source, _ in second} == set(range(wanted))
    reference = ("--ref", text, "--src", text, *flags)
    assert run(model, *reference) == (0 if long == "skip" else 2)
    out, err = capsys.readouterr()
    assert (
        ("line 2 is too long" in err and out.splitlines()[1] == "") if long == "skip" else "with --ref give skip" in err
    )
