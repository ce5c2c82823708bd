"""Words and links from the attention of pieces."""

import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seq2seq_fast.data import InputError, build_vocabulary
from seq2seq_fast.decoding import SearchConfig, Translator
from seq2seq_fast.decoding.given import PieceAttention, attend_to_given
from seq2seq_fast.decoding.words import attention_of_words, kinds_of, links
from tests.decoding.models import small_model

LINES = ["ein Hund", "der kleine Hund sieht die Katze.", "zwei Hunde und drei Katzen"]


def attention(source, target):
    return PieceAttention(source, target, torch.rand(len(target), len(source) + 1).softmax(1))


def test_pieces_of_a_word_are_merged_and_signs_stay_or_stand_alone():
    pairs = attention(["▁Hun", "d", "e", ".", "▁", "Ja"], ["▁dog", "s.", "<unk>"])
    by_spaces = attention_of_words(pairs)
    assert by_spaces.source == ["Hunde.", "Ja"] and by_spaces.target == ["dogs.", "<unk>"]
    torch.testing.assert_close(by_spaces.weights[0, 0], pairs.weights[:2, :4].sum(1).mean())
    torch.testing.assert_close(
        by_spaces.weights[1], torch.stack([row.sum() for row in pairs.weights[2].split([4, 2, 1])])
    )
    by_signs = attention_of_words(pairs, "signs", "max")
    assert by_signs.source == ["Hunde", ".", "Ja"] and by_signs.target == ["dogs", ".", "<unk>"]
    assert by_signs.weights[0, 0] == pairs.weights[:2, :3].max()
    # The piece "s." belongs to both words.
    assert by_signs.weights[1, 1] == pairs.weights[1, 3]


@given(words=st.lists(st.text("abcäß한국", min_size=1, max_size=6), min_size=1, max_size=5), data=st.data())
def test_words_are_those_between_spaces_however_they_are_cut(words, data):
    text = "".join(f"▁{word}" for word in words)
    # No piece goes on beyond a space.
    starts = {place for place, sign in enumerate(text) if sign == "▁"} - {0}
    cuts = sorted(starts | data.draw(st.sets(st.integers(1, len(text) - 1), max_size=6)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    merged = attention_of_words(attention(pieces, pieces))
    assert merged.source == merged.target == words
    torch.testing.assert_close(merged.weights.sum(1), torch.ones(len(words)))


def test_each_side_has_words_of_its_own_kind():
    pairs = [attention(["▁the", "▁cat", "▁sees"], ["▁这", "只猫", "看见。"]), attention(["▁a", "▁dog."], ["▁狗เห็นบ้าน"])]
    assert kinds_of(pairs, "auto") == ("spaces", "characters") and kinds_of(pairs, "signs") == ("signs", "characters")
    assert kinds_of(pairs, "spaces") == ("spaces", "spaces")
    found = [attention_of_words(one, kinds_of(pairs, "auto")) for one in pairs]
    assert found[0].source == ["the", "cat", "sees"] and found[0].target == list("这只猫看见。")
    # A vowel or tone sign belongs to its letter.
    assert found[1].source == ["a", "dog."] and found[1].target == ["狗", "เ", "ห็", "น", "บ้", "า", "น"]
    segmented = [attention(["▁the"], ["▁这", "▁只", "▁猫", "▁看见", "▁。"])]
    assert kinds_of(segmented, "auto") == ("spaces", "spaces")


def test_the_time_grows_with_the_line_not_with_its_square():
    source = ["▁wor", "d"] * 10_000
    started = time.process_time()
    merged = attention_of_words(PieceAttention(source, ["▁x"], torch.zeros(1, len(source) + 1)))
    # Comparing each word with each piece takes several times as long.
    assert time.process_time() - started < 5
    assert merged.source == ["word"] * 10_000


def test_links_are_the_largest_weights_and_none_to_the_end():
    words = attention_of_words(
        PieceAttention(["▁a", "▁b"], ["▁x", "▁y"], torch.tensor([[0.3, 0.7, 0], [0.3, 0.1, 0.6]]))
    )
    assert links(words) == ((1, 0),)
    assert links(words, 0.3) == ((0, 0), (0, 1), (1, 0))
    assert links(attention_of_words(PieceAttention([], [], torch.zeros(0, 1)))) == ()


def translator(**settings):
    vocabulary = build_vocabulary(LINES, "words", 40)
    sizes = {"source_vocabulary": len(vocabulary), "sharpness": 3.0, "end": -1.0}
    return Translator(small_model(len(vocabulary), **sizes, **settings), vocabulary, vocabulary)


def test_given_translations_have_the_attention_that_their_search_had():
    model = translator()
    found = [one[0] for one in model.search(LINES, SearchConfig(beam_size=1), need_weights=True)]
    given_pairs = attend_to_given(
        model, [(line, one.text) for line, one in zip(LINES, found, strict=True)] + [("", "a")]
    )
    compared = 0
    for one, forced in zip(found, given_pairs, strict=False):
        # A random model may write pieces that its text, read again, would be cut into differently.
        if forced.target and forced.target == one.target_pieces:
            torch.testing.assert_close(forced.weights, one.weights)
            compared += 1
    assert compared and given_pairs[-1].target == []


def test_a_model_without_attention_is_refused():
    with pytest.raises(InputError, match="needs one model with attention"):
        attend_to_given(translator(attention=None), [("ein", "ein")])
