"""Reading sentence pairs."""

import gzip
from pathlib import Path

import pytest

from seq2seq_fast.data import InputError, SentencePair, TextCorpus, read_lines, read_pairs, read_pharaoh
from seq2seq_fast.data.pharaoh import read_gold
from seq2seq_fast.data.text import LONGEST_LINE


def test_two_files_give_pairs_in_order(tmp_path):
    (tmp_path / "a.de").write_text("eins\nzwei \n", encoding="utf-8")
    (tmp_path / "a.en").write_text("one\ntwo", encoding="utf-8")
    assert read_pairs(tmp_path / "a.de", tmp_path / "a.en") == [
        SentencePair("eins", "one"),
        SentencePair("zwei", "two"),
    ]


def test_gzip_and_plain_text_give_the_same_lines(tmp_path):
    text = "größer\r\nklein\n\n한국어\n"
    (tmp_path / "a.txt").write_bytes(text.encode())
    with gzip.open(tmp_path / "a.txt.gz", "wb") as stream:
        stream.write(text.encode())
    lines = list(read_lines(tmp_path / "a.txt"))
    assert lines == ["größer", "klein", "", "한국어"] == list(read_lines(tmp_path / "a.txt.gz"))


def test_only_a_line_feed_ends_a_line(tmp_path):
    (tmp_path / "a.txt").write_text("one\u2028still one\x0bstill\ntwo", encoding="utf-8")
    assert len(list(read_lines(tmp_path / "a.txt"))) == 2


def test_tsv_gives_two_columns(tmp_path):
    (tmp_path / "pairs.tsv").write_text("ja\tyes\nnein\t\n", encoding="utf-8")
    assert read_pairs(tmp_path / "pairs.tsv") == [SentencePair("ja", "yes"), SentencePair("nein", "")]


def test_compressed_pairs_and_columns_are_those_of_plain_files(tmp_path):
    for name, text in (("a.de", "groß\nklein\n"), ("a.en", "big\nsmall\n"), ("a.tsv", "groß\tbig\nklein\tsmall\n")):
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
    pairs = [SentencePair("groß", "big"), SentencePair("klein", "small")]
    assert read_pairs(tmp_path / "a.de.gz", tmp_path / "a.en.gz") == pairs == read_pairs(tmp_path / "a.tsv.gz")


def test_unequal_line_counts_name_both_files_and_counts(tmp_path):
    (tmp_path / "a.de").write_text("1\n2\n3\n")
    (tmp_path / "a.en").write_text("1\n2\n")
    with pytest.raises(InputError, match=r"a\.de has 3 lines but .*a\.en has 2"):
        read_pairs(tmp_path / "a.de", tmp_path / "a.en")


def test_invalid_utf8_names_file_and_line(tmp_path):
    (tmp_path / "a.de").write_bytes(b"gut\nschl\xffecht\n")
    with pytest.raises(InputError, match=r"a\.de: line 2 is not UTF-8 \(byte 5 .*: convert the text, with iconv"):
        list(read_lines(tmp_path / "a.de"))


def test_a_tsv_line_without_two_columns_is_named(tmp_path):
    (tmp_path / "a.tsv").write_text("a\tb\nc\n")
    with pytest.raises(InputError, match=r"a\.tsv: line 2 has 1 tab-separated columns"):
        read_pairs(tmp_path / "a.tsv")


def test_what_cannot_be_read_is_named_in_one_line(tmp_path):
    (tmp_path / "broken.gz").write_bytes(b"not gzip")
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"text " * 1000)[:-20])
    (tmp_path / "empty").write_text("")
    for name in ("missing", "broken.gz", "cut.gz", "empty", "."):
        with pytest.raises(InputError) as caught:
            read_pairs(tmp_path / name, tmp_path / name)
        assert str(tmp_path / name) in str(caught.value) and "\n" not in str(caught.value)


ENDLESS = b"eins\n" + b"x" * LONGEST_LINE + "ü\nzwei\n".encode()


def test_a_line_without_end_is_named_before_it_is_read(tmp_path):
    (tmp_path / "a").write_bytes(ENDLESS)
    for path, number in ((tmp_path / "a", 2), ("/dev/zero", 1)):
        with pytest.raises(InputError, match=f"{path}: line {number} has more than 1,048,576 bytes"):
            list(read_lines(path))
    with pytest.raises(InputError, match="line 2 has more than"):
        read_pairs(tmp_path / "a", tmp_path / "a")
    with pytest.raises(InputError, match="line 1 has more than"):
        read_pharaoh("/dev/zero")


@pytest.mark.parametrize(("endless", "shown"), [("cut", "x" * LONGEST_LINE), ("skip", "")])
def test_a_line_without_end_is_cut_or_left_empty_where_asked(tmp_path, capsys, endless, shown):
    (tmp_path / "a").write_bytes(ENDLESS)
    with gzip.open(tmp_path / "b.gz", "wb") as stream:
        stream.write(ENDLESS)
    for name in ("a", "b.gz"):
        assert list(read_lines(tmp_path / name, endless)) == ["eins", shown, "zwei"]
        assert "line 2 has more than 1,048,576 bytes" in capsys.readouterr().err


def test_a_line_is_cut_between_characters(monkeypatch, tmp_path):
    (tmp_path / "a").write_text("€€€€\n€", encoding="utf-8")
    for bytes_, shown in ((12, "€€€€"), (11, "€€€"), (10, "€€€"), (9, "€€€"), (8, "€€")):
        monkeypatch.setattr("seq2seq_fast.data.text.LONGEST_LINE", bytes_)
        assert list(read_lines(tmp_path / "a", "cut")) == [shown, "€"]


def test_a_line_that_never_ends_is_an_error_where_it_was_to_be_cut(monkeypatch):
    monkeypatch.setattr("seq2seq_fast.data.text._MOST_BLOCKS", 3)
    with pytest.raises(InputError, match="line 1 has more than"):
        list(read_lines("/dev/zero", "skip"))


def test_a_link_of_many_digits_is_no_link(tmp_path):
    (tmp_path / "a").write_text("9" * 5000 + "-0\n")
    for read in (read_pharaoh, read_gold):
        with pytest.raises(InputError, match="line 1: '9999"):
            read(tmp_path / "a")


def test_a_cache_needs_a_file_that_can_be_read_again():
    with pytest.raises(InputError, match="/dev/zero: is no file"):
        TextCorpus(Path("/dev/zero"), Path("/dev/zero")).fingerprint()
