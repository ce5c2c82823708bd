"""Text to text."""

import pytest

from seq2seq_fast.data import build_vocabulary
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
