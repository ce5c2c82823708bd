"""From words to pieces."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2seq_fast.data import Collate, InputError, PairDataset, SentencePair, WordAlignments, build_vocabulary
from seq2seq_fast.data.grammar import embedded_corpus
from seq2seq_fast.data.word_alignment import pieces_of_words, split_words

CORPUS = embedded_corpus(size=30, max_words=12)
KINDS = ("bpe", "unigram", "words", "characters")


@pytest.fixture(scope="module", params=KINDS)
def vocabulary(request):
    return build_vocabulary([side for pair in CORPUS for side in pair[:2]], request.param, 110)


def test_the_grammars_words_are_words_and_signs():
    for pair in CORPUS:
        assert split_words(pair.source, "signs") == list(pair.source_words)
        assert split_words(pair.target, "signs") == list(pair.target_words)
        assert split_words(pair.source, "spaces") == pair.source.split()


def test_pieces_are_linked_where_their_words_are(vocabulary):
    pairs = [SentencePair(pair.source, pair.target) for pair in CORPUS]
    alignments = WordAlignments("file", [pair.alignment for pair in CORPUS], "signs")
    for aligned, encoded in zip(CORPUS, PairDataset(pairs, vocabulary, vocabulary, alignments=alignments), strict=True):
        sides = []
        for text, words in ((aligned.source, aligned.source_words), (aligned.target, aligned.target_words)):
            # Each word's characters, and each piece's, by their places in the text without spaces.
            ends = [sum(map(len, words[:place])) for place in range(len(words) + 1)]
            pieces = [piece.replace("▁", "") for piece in vocabulary.segment(text)]
            begins = [sum(map(len, pieces[:place])) for place in range(len(pieces) + 1)]
            sides.append(
                [
                    {word for word in range(len(words)) if max(a, ends[word]) < min(b, ends[word + 1])}
                    for a, b in pairwise(begins)
                ]
            )
        expected = {
            (s, t)
            for s, sources in enumerate(sides[0])
            for t, targets in enumerate(sides[1])
            if any((i, j) in aligned.alignment for i in sources for j in targets)
        }
        assert set(encoded.links) == expected and expected


@given(words=st.lists(st.text("abcä", min_size=1, max_size=6), max_size=6), cuts=st.lists(st.integers(1, 5)))
def test_every_piece_of_a_word_is_found_however_the_text_is_cut(words, cuts):
    marked = "".join("▁" + word for word in words)
    pieces = []
    for cut in [*cuts, len(marked)]:
        pieces.append(marked[:cut])
        marked = marked[cut:]
    found = pieces_of_words([piece for piece in pieces if piece], words)
    pieces = [piece.replace("▁", "") for piece in pieces if piece]
    assert len(found) == len(words)
    for word, places in zip(words, found, strict=True):
        assert places == sorted(places) and word in "".join(pieces[place] for place in places)
        assert all(pieces[place] for place in places)


def test_text_that_the_vocabulary_changes_is_matched_in_its_compatibility_form_or_not_at_all():
    assert pieces_of_words(["▁10", "0", "▁fi"], ["\uff1100", "\ufb01"]) == [[0, 1], [2]]
    assert pieces_of_words(["▁a"], ["b"]) is None


def test_batches_carry_the_links_of_their_rows():
    lines = ["a b c", "d e f"]
    vocabulary = build_vocabulary(lines, "words", 20)
    pairs = [SentencePair("a b c", "d e"), SentencePair("a", "e f"), SentencePair("b", "d")]
    alignments = WordAlignments("file", [((0, 1), (2, 0)), (), ((0, 0),)])
    encoded = PairDataset(pairs, vocabulary, vocabulary, alignments=alignments)
    assert Collate(0, 0)([encoded[2], encoded[0], encoded[1]]).links.tolist() == [[0, 0, 0], [1, 1, 0], [1, 0, 2]]
    assert Collate(0, 0)([encoded[1]]).links is None
    assert Collate(0, 0)(list(PairDataset(pairs, vocabulary, vocabulary))).links is None


def test_a_link_to_a_word_that_is_not_there_is_named_with_its_line():
    vocabulary = build_vocabulary(["a b c"], "words", 20)
    pairs = [SentencePair("a", "b"), SentencePair("a b", "c")]
    alignments = WordAlignments("train.align", [((0, 0),), ((0, 0), (1, 1))])
    with pytest.raises(InputError, match=r"train\.align: line 2: 1-1 links a word that is not there: .* 2 and 1 words"):
        PairDataset(pairs, vocabulary, vocabulary, alignments=alignments)


def test_a_no_break_space_joins_a_word():
    assert split_words(" a\u00a0b \tc ", "spaces") == ["a\u00a0b", "c"] and split_words("", "spaces") == []
    assert pieces_of_words(["▁a", "b", "▁c"], ["a\u00a0b", "c"]) == [[0, 1], [2]]
