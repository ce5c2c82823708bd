"""Vocabularies of every kind."""

import io

import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st

from seq2seq_fast.data import InputError, build_vocabulary, load_vocabulary
from seq2seq_fast.data.sentencepiece_vocabulary import SentencePieceVocabulary

LINES = [
    "Der Hund sieht die Katze, aber die Katze sieht ihn nicht.",
    "Ein kleines Mädchen klettert in ein Spielhaus aus Holz.",
    "Zwei Männer stehen am Herd und bereiten Essen zu.",
    "Wer hat's gesehen? Niemand!",
] * 5
KINDS = ("bpe", "unigram", "words", "characters")
_BUILT = {kind: build_vocabulary(LINES, kind, 90) for kind in KINDS[:2]}


@pytest.fixture(scope="module", params=KINDS)
def vocabulary(request):
    return build_vocabulary(LINES, request.param, 90)


def test_known_text_comes_back_as_it_was(vocabulary):
    for line in LINES:
        ids = vocabulary.encode(line)
        assert vocabulary.decode(ids) == line
        assert "".join(vocabulary.pieces(ids)).replace("▁", " ").strip() == line


def test_size_is_kept_and_every_id_is_inside(vocabulary):
    assert len(vocabulary) <= 90
    for line in [*LINES, "völlig unbekannte Wörter: ∞ 한국어"]:
        assert all(0 <= index < len(vocabulary) for index in vocabulary.encode(line))


def test_special_pieces_are_distinct_and_decode_to_nothing(vocabulary):
    specials = [vocabulary.pad_id, vocabulary.bos_id, vocabulary.eos_id]
    assert len({*specials, vocabulary.unknown_id}) == 4
    ids = vocabulary.encode(LINES[0])
    assert vocabulary.decode([vocabulary.bos_id, *ids, vocabulary.eos_id, vocabulary.pad_id]) == LINES[0]
    assert vocabulary.decode(specials) == ""


def test_the_text_of_each_piece_is_kept_where_it_is_unknown(vocabulary):
    line = "Der Hund sieht 漢字 und Ω."
    ids, segments = vocabulary.encode(line), vocabulary.segment(line)
    assert len(ids) == len(segments) and "".join(segments).replace("▁", " ").strip() == line
    unknown = [text for index, text in zip(ids, segments, strict=True) if index == vocabulary.unknown_id]
    assert unknown and vocabulary.decode(ids, unknown) == line
    assert vocabulary.decode(vocabulary.encode(LINES[0]), []) == LINES[0]


def test_a_saved_vocabulary_loads_again(vocabulary, tmp_path):
    path = vocabulary.save(tmp_path / "source")
    for name in (path, tmp_path / "source"):
        loaded = load_vocabulary(name)
        assert len(loaded) == len(vocabulary)
        assert loaded.encode(LINES[1]) == vocabulary.encode(LINES[1])


def test_empty_text_encodes_to_nothing_and_back(vocabulary):
    assert vocabulary.encode("") == [] and vocabulary.encode("   ") == [] and vocabulary.decode([]) == ""


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_text_builds_the_same_vocabulary(kind):
    assert build_vocabulary(LINES, kind, 60).serialized() == build_vocabulary(LINES, kind, 60).serialized()


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="▁", exclude_categories=("Cc", "Cs", "Cn")), max_size=30)
)
def test_characters_and_words_keep_any_text_that_they_know(text):
    import unicodedata

    normal = " ".join(unicodedata.normalize("NFC", text).split())
    if not normal:
        return
    for kind in ("words", "characters"):
        assert build_vocabulary([text], kind, 1000).decode(build_vocabulary([text], kind, 1000).encode(text)) == normal


@pytest.mark.parametrize("kind", KINDS)
def test_too_little_text_or_room_is_said_in_one_line(kind):
    for lines, size in (([], 100), (["", ""], 100), (LINES, 3)):
        with pytest.raises(InputError) as caught:
            build_vocabulary(lines, kind, size)
        assert "\n" not in str(caught.value)


def test_a_file_that_is_no_vocabulary_is_named(tmp_path):
    (tmp_path / "bad.model").write_bytes(b"nothing of the kind")
    (tmp_path / "bad.json").write_text('{"tokens": ["a"]}')
    for name in ("bad.model", "bad.json", "missing"):
        with pytest.raises(InputError, match=name):
            load_vocabulary(tmp_path / name)


@given(st.text(st.sampled_from("aäHund zw.,\u00a0\u200b\u0308\u3000\t\u2028ﬁ한▁\ue000<s>"), max_size=30))
@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_words_cut_once_are_cut_as_sentencepiece_cuts_the_text(kind, text):
    vocabulary = _BUILT[kind]
    assert vocabulary._words is not None
    assert vocabulary.encode(text) == vocabulary._processor.EncodeAsIds(text) == vocabulary.encode(text)


@pytest.mark.parametrize(
    "option", [{"split_by_whitespace": False}, {"add_dummy_prefix": False}, {"treat_whitespace_as_suffix": True}]
)
def test_a_model_whose_words_depend_on_their_neighbours_cuts_whole_texts(option):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES), model_writer=model, model_type="bpe", vocab_size=120, hard_vocab_limit=False,
        pad_id=0, unk_id=1, bos_id=2, eos_id=3, minloglevel=2, **option,
    )  # fmt: skip
    vocabulary = SentencePieceVocabulary(model.getvalue())
    for line in (*LINES, "Der Hund", " Hund  Der "):
        assert vocabulary.encode(line) == vocabulary._processor.EncodeAsIds(line)
