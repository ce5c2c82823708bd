"""Text to text."""

import pytest
import torch

from seq2seq_fast.data import InputError, build_vocabulary
from seq2seq_fast.decoding import SearchConfig, Translator
from seq2seq_fast.nn import Seq2SeqConfig
from tests.decoding.models import small_model

LINES = ["ein Hund", "der kleine Hund sieht die Katze", "", "die Katze", "zwei Hunde und drei Katzen sehen den Ball"]


@pytest.fixture(scope="module")
def translator():
    vocabulary = build_vocabulary(LINES, "words", 40)
    model = small_model(len(vocabulary), source_vocabulary=len(vocabulary), sharpness=5.0, end=-1.0)
    assert isinstance(model.config, Seq2SeqConfig)
    return Translator(model, vocabulary, vocabulary)


@pytest.mark.parametrize("beam_size", [1, 3])
def test_order_is_kept_and_batches_change_nothing(translator, beam_size):
    together = translator.translate(LINES, SearchConfig(beam_size=beam_size))
    alone = [translator.translate([line], SearchConfig(beam_size=beam_size))[0] for line in LINES]
    small = translator.translate(LINES, SearchConfig(beam_size=beam_size, batch_tokens=1))
    assert together == alone == small and len(set(together)) > 1


def test_an_empty_line_stays_empty_and_so_does_no_line(translator):
    assert translator.translate(LINES)[2] == "" and translator.translate(["   "]) == [""]
    assert translator.translate([]) == []


def test_streaming_gives_the_same_lines_as_they_come(translator):
    asked = []

    def lines():
        for line in LINES:
            asked.append(line)
            yield line

    stream = translator.stream(lines(), lines=2)
    first = next(stream)
    assert len(asked) == 2
    assert [first, *stream] == translator.translate(LINES)


def test_n_best_translations_come_with_scores_pieces_and_weights(translator):
    for line, found in zip(
        LINES, translator.search(LINES, SearchConfig(beam_size=4), n_best=3, need_weights=True), strict=True
    ):
        if not line:
            continue
        assert 1 <= len(found) <= 3
        assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
        for one in found:
            assert one.source_pieces == [*("▁" + word for word in line.split()), "</s>"]
            assert one.weights.shape == (len(one.target_pieces), len(one.source_pieces))
            assert all(piece in one.text for piece in (word.strip("▁") for word in one.target_pieces if "▁" in word))


def test_translations_begin_with_their_prefixes(translator):
    prefixes = ["der kleine", "", "die", "zwei", "Hunde"]
    for beam_size in (1, 3):
        found = translator.search(LINES, SearchConfig(beam_size=beam_size), prefixes=prefixes)
        free = translator.search(LINES, SearchConfig(beam_size=beam_size))
        for line, prefix, [one], [other] in zip(LINES, prefixes, found, free, strict=True):
            assert one.text.startswith(prefix if line else "")
            assert prefix or one == other


def test_lengths_are_kept_in_every_search(translator):
    for beam_size in (1, 3):
        config = SearchConfig(beam_size=beam_size, min_length=4, max_length=6)
        found = translator.search([line for line in LINES if line], config)
        assert all(4 <= len(one.target_pieces) <= 6 for [one] in found)


def test_unknown_pieces_give_way_to_the_words_that_they_attend_to():
    vocabulary = build_vocabulary(LINES, "words", 12)
    model = small_model(len(vocabulary), source_vocabulary=len(vocabulary), seed=1, sharpness=2.0, end=-9.0)
    with torch.no_grad():
        model.decoder.output.bias[vocabulary.unknown_id] = 4.0
    translator = Translator(model, vocabulary, vocabulary)
    config = SearchConfig(beam_size=2, replace_unknown=True, max_length=8)
    sentences = ["Der Wolf sieht die Katze", "drei Igel"]
    replaced = 0
    for sentence, [one] in zip(sentences, translator.search(sentences, config, need_weights=True), strict=True):
        words = sentence.split()
        expected = [
            words[int(row[: len(words)].argmax())] if piece == "<unk>" else piece.strip("▁")
            for piece, row in zip(one.target_pieces, one.weights, strict=True)
        ]
        assert one.text.split() == expected
        replaced += one.target_pieces.count("<unk>")
    assert replaced > 2
    assert translator.search(sentences, config)[0][0].weights is None


def test_a_setting_that_needs_attention_says_so():
    vocabulary = build_vocabulary(LINES, "words", 40)
    model = small_model(len(vocabulary), source_vocabulary=len(vocabulary), attention=None)
    for settings in ({"coverage_penalty": 0.2}, {"replace_unknown": True}):
        with pytest.raises(InputError, match=f"search.{next(iter(settings))} needs a model with attention"):
            Translator(model, vocabulary, vocabulary).translate(["ein Hund"], SearchConfig(**settings))


def test_prefixes_that_cannot_be_kept_are_named(translator):
    with pytest.raises(InputError, match="the prefix 'Berlin' has a piece that the target vocabulary lacks"):
        translator.search(["der Hund"], prefixes=["Berlin"])
    with pytest.raises(ValueError, match="prefixes must be one for each of 2 sentences; got 1"):
        translator.search(["der Hund", "die Katze"], prefixes=["der"])
