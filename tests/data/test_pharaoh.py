"""Pharaoh text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2seq_fast.data import InputError
from seq2seq_fast.data.pharaoh import pharaoh_line, read_gold, read_pharaoh

links = st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), unique=True).map(lambda found: tuple(sorted(found)))


@given(alignments=st.lists(links, max_size=5))
def test_what_is_written_is_read_again(tmp_path, alignments):
    path = tmp_path / "alignment"
    path.write_text("".join(f"{pharaoh_line(links)}\n" for links in alignments))
    assert read_pharaoh(path) == alignments


def test_links_are_ascending_and_come_once(tmp_path):
    (tmp_path / "alignment").write_text("2-1  0-0 2-1\n\n")
    assert read_pharaoh(tmp_path / "alignment") == [((0, 0), (2, 1)), ()]


@pytest.mark.parametrize("link", ["1", "1-", "1-2-3", "a-b", "-1-2", "1?2"])
def test_what_is_no_link_is_named_with_its_line(tmp_path, link):
    (tmp_path / "alignment").write_text(f"0-0\n1-1 {link}\n")
    with pytest.raises(InputError, match=r"line 2: .* is no link such as 3-4") as caught:
        read_pharaoh(tmp_path / "alignment")
    assert repr(link) in str(caught.value)


def test_annotated_links_are_sure_or_possible(tmp_path):
    (tmp_path / "gold").write_text("0-0 1?2 3p4\n\n")
    first, second = read_gold(tmp_path / "gold")
    assert first.sure == {(0, 0)} and first.possible == {(0, 0), (1, 2), (3, 4)} and not second.possible
    (tmp_path / "gold").write_text("0-0\n1x1\n")
    with pytest.raises(InputError, match=r"line 2: '1x1' is no link"):
        read_gold(tmp_path / "gold")
