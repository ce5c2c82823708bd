"""Reading sentence pairs."""

import gzip

import pytest

from seq2seq_fast.data import InputError, SentencePair, read_lines, read_pairs


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
