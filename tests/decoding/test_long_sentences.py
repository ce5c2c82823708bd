"""Sentences that are too long, and searches that are too large for the memory."""
# ruff: noqa: RUF001

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seq2seq_fast.data import InputError, build_vocabulary
from seq2seq_fast.data.scripts import join_sentences
from seq2seq_fast.decoding import SearchConfig, Translator
from seq2seq_fast.decoding.long_sentences import search_each, split
from tests.decoding.models import small_model

LINES = ["der Hund", "der kleine Hund sieht die Katze .", "", "eine Katze"]
LONG = "der Hund . eine Katze . die Katze sieht ."


@pytest.fixture(scope="module")
def translator():
    vocabulary = build_vocabulary(LINES, "words", 40)
    model = small_model(len(vocabulary), source_vocabulary=len(vocabulary), sharpness=3.0, end=1.0)
    return Translator(model, vocabulary, vocabulary)


def texts(found):
    return [one[0].text for one in found]


def config(most=8, **settings):
    return SearchConfig(max_source_length=most, beam_size=2, **settings)


def test_what_stands_before_a_long_sentence_is_translated_before_it_is_refused(translator):
    found, sentences = [], [*LINES, LONG, *LINES]
    with pytest.raises(InputError, match=r"line 14 has 10 pieces, more than .*, 8: split it"):
        for one in search_each(translator, sentences, config(), "refuse", origin=("line", 10)):
            found.append(one[0].text)
    assert found == translator.translate(LINES, config())


@pytest.mark.parametrize("how", ["cut", "split", "skip"])
def test_a_long_sentence_is_done_with_as_asked_and_told(translator, capsys, how):
    sentences = [LONG, *LINES, LONG, LONG]
    found = texts(search_each(translator, sentences, config(), how, origin=("line", 1)))
    assert found[1:5] == translator.translate(LINES, config())
    parts = translator.translate(["der Hund . eine Katze .", "die Katze sieht ."], config())
    cut = translator.translate(["der Hund . eine Katze . die Katze"], config())
    wanted = {"skip": "", "split": " ".join(parts).strip(), "cut": cut[0]}[how]
    assert found[0] == found[5] == found[6] == wanted
    said = capsys.readouterr().err.splitlines()
    assert [line.split(" is too long, with 10 pieces: it")[0] for line in said] == [
        f"seq2seq-fast: warning: line {number}" for number in (1, 6, 7)
    ]


def test_parts_make_one_translation(translator):
    [found] = search_each(translator, [LONG], config(), "split", n_best=2, prefixes=["Katze"])
    first = translator.search(["der Hund . eine Katze ."], config(), n_best=2, prefixes=["Katze"])[0]
    second = translator.search(["die Katze sieht ."], config(), n_best=2)[0]
    for one, *parts in zip(found, first, second, strict=True):
        assert one.text == " ".join(part.text for part in parts) and one.text.startswith("Katze")
        assert one.target_pieces == parts[0].target_pieces + parts[1].target_pieces
        assert one.log_probability == pytest.approx(sum(part.log_probability for part in parts))


def test_a_prefix_that_cannot_be_kept_or_is_too_long_stops_at_its_sentence(translator):
    for prefix, message in (
        ("Berlin", "has a piece that"),
        ("der " * 9, "the prefix of line 3 has 9 pieces, more than"),
    ):
        found = []
        with pytest.raises(InputError, match=message):
            for one in search_each(
                translator, LINES[:2] * 2, config(), "skip", prefixes=["", "", prefix, ""], origin=("line", 1)
            ):
                found.append(one)
        assert len(found) == 2


@pytest.fixture
def little_memory(monkeypatch, translator):
    """Batches of more pieces than a number fail, as on a GPU or, where told, as on this machine."""

    def limit(pieces, error):
        search = Translator._search

        def limited(self, sources, *arguments):
            if sum(map(len, sources)) > pieces:
                raise error
            return search(self, sources, *arguments)

        monkeypatch.setattr(Translator, "_search", limited)

    return limit


ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory"),
    MemoryError(),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
]


@pytest.mark.parametrize("error", ERRORS, ids=["device", "Python", "CPU"])
def test_a_batch_too_large_for_the_memory_is_searched_in_parts(translator, little_memory, error):
    wanted = translator.translate(LINES * 3, config())
    little_memory(8, error)
    assert translator.translate(LINES * 3, config()) == wanted
    assert list(translator.stream(LINES * 3, config())) == wanted


@pytest.mark.parametrize("how", ["refuse", "cut", "split", "skip"])
def test_a_sentence_too_long_for_the_memory_is_one_of_those_that_are_too_long(translator, little_memory, how, capsys):
    wanted = translator.translate(LINES, config(99))
    little_memory(10, MemoryError())
    found = []
    try:
        for one in search_each(translator, [*LINES, LONG, *LINES], config(99), how, origin=("line", 1)):
            found.append(one[0].text)
    except InputError as error:
        assert how == "refuse" and "line 5: the memory is too small for its 10 pieces with search.beam_size 2" in str(
            error
        )
    assert found[:4] == wanted and (how == "refuse" or found[5:] == wanted)
    halves = translator.translate(["der Hund . eine Katze", ". die Katze sieht ."], config())
    assert how != "cut" or found[4] == halves[0]


def test_another_error_is_an_error(translator, little_memory):
    little_memory(0, RuntimeError("wrong shape"))
    with pytest.raises(RuntimeError, match="wrong shape"):
        translator.translate(LINES, config())


def test_a_real_allocation_that_fails_is_known():
    vocabulary = build_vocabulary(LINES, "words", 40)
    model = small_model(len(vocabulary), source_vocabulary=len(vocabulary))
    with pytest.raises(InputError, match=r"too small for its 2 pieces with .* 4,000,000,000"):
        Translator(model, vocabulary, vocabulary).translate(["der Hund"], SearchConfig(beam_size=4_000_000_000))


@pytest.mark.parametrize(
    ("text", "most", "parts"),
    [
        ("Ein Hund. Zwei Hunde. Drei.", 11, ["Ein Hund.", "Zwei Hunde.", "Drei."]),
        ("我看书。他睡觉！「好。」她走。", 6, ["我看书。", "他睡觉！", "「好。」", "她走。"]),
        ('Er sagt: "Ja!" Dann geht er', 17, ['Er sagt: "Ja!"', "Dann geht er"]),
        ("यह है। वह है।", 9, ["यह है।", "वह है।"]),
        ("einundzwanzig zwei", 6, ["einund", "zwanzi", "g zwei"]),
        ("x\u0301x\u0301x\u0301x\u0301", 5, ["x\u0301x\u0301", "x\u0301x\u0301"]),
    ],
)
def test_parts_end_where_sentences_words_or_letters_do(text, most, parts):
    vocabulary = build_vocabulary([text], "characters", 100)
    assert list(split(text, vocabulary, most + 1)) == parts


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        (["Ein Hund.", "", "Zwei Hunde."], "Ein Hund. Zwei Hunde."),
        (["我看书。", "他睡觉！", "「好。」", "她走"], "我看书。他睡觉！「好。」她走"),
        (["我用 Python。", "他睡觉"], "我用 Python。他睡觉"),
        (["ฉันอ่าน", "เขานอน"], "ฉันอ่านเขานอน"),
        (["我 看 书 。", "他 睡 觉"], "我 看 书 。 他 睡 觉"),
        (["나는 책을 읽는다.", "그는 잔다."], "나는 책을 읽는다. 그는 잔다."),
    ],
)
def test_translations_of_parts_are_joined_as_their_script_has_it(parts, text):
    assert join_sentences(parts) == text


@given(st.text("ab .。\u0301é", max_size=60), st.integers(2, 9))
def test_parts_are_the_text_and_fit(text, most):
    vocabulary = build_vocabulary(["ab .。\u0301é"], "characters", 100)
    found = list(split(text, vocabulary, most))
    assert "".join("".join(found).split()) == "".join(text.split())
    assert all(part and len(vocabulary.encode(part)) <= most for part in found)
