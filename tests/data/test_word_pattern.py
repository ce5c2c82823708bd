"""What a word is, in any script."""
# ruff: noqa: RUF001

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2seq_fast.data import build_vocabulary, load_vocabulary
from seq2seq_fast.data.token_vocabulary import TokenVocabulary, tokenize
from seq2seq_fast.data.word_alignment import split_words
from seq2seq_fast.decoding.words import _group

WORDS = {
    "vowelled Arabic": "السَّلَامُ عَلَيْكُمْ",
    "Tamil": "வணக்கம் உலகம்",
    "Yoruba": "Ọ̀yọ́ ẹ̀kọ́",
    "Devanagari": "क्षत्रिय हिन्दी",
    "Hebrew with niqqud": "שָׁלוֹם עוֹלָם",
    "Thai": "ไม่ที่นี้ น้ำ",
    "Khmer": "ភាសាខ្មែរ ខ្ញុំ",
    "Persian, non-joiner": "می\u200cخواهم",
    "Sinhala, joiner": "ශ්\u200dරී ලංකා",
    "Malayalam, joiner at the end": "ക്\u200d മലയാളം",
    "Myanmar": "မြန်မာ ဘာသာ",
    "Bengali": "বাংলা",
    "Tibetan": "བོད",
    "Lao": "ພາສາ ລາວ",
    "Vietnamese": "Tiếng Việt",
    "jamo": "\u1112\u1161\u11ab 한",
    "soft hyphen": "Donau\u00addampf",
    "direction marks": "\u200fשלום\u200f",
    "apostrophes and hyphens": "Geht's gut-so l\u2019eau",
    "numbers": "x² ½ 123 ١٢٣",
    "enclosed": "a\u20dd 1\ufe0f\u20e3",
    "Mongolian": "ᠮᠣᠩᠭᠣᠯ\u180b ᠬᠡᠯᠡ",
    "ideograph with a variation": "葛\U000e0100",
}
SIGNS = {
    "family": "👨\u200d👩\u200d👧\u200d👦",
    "skin": "👍🏽",
    "flag": "🇩🇪",
    "heart": "❤\ufe0f",
    "keycap": "#\ufe0f\u20e3",
    "full stop": ".",
    "danda": "।",
    "England": "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "struck": "=\u0338",
    "shy": ",\u00ad",
}


@pytest.mark.parametrize("text", WORDS.values(), ids=WORDS)
def test_marks_and_joiners_belong_to_their_word(text):
    text = unicodedata.normalize("NFC", text)
    words = text.split()
    assert split_words(f"{text}. {text}", "signs") == [*words, ".", *words]
    vocabulary = build_vocabulary([text], "words", 100)
    assert len(vocabulary) == 4 + len(set(words)) and vocabulary.decode(vocabulary.encode(text)) == text
    marked = "".join(f"▁{word}" for word in words)
    for pieces in (list(marked), [marked]):
        assert _group(pieces, "signs")[0] == words


@pytest.mark.parametrize("sign", SIGNS.values(), ids=SIGNS)
def test_a_sign_stands_alone_with_what_belongs_to_it(sign):
    sign = unicodedata.normalize("NFC", sign)
    assert split_words(f"a{sign}b {sign}{sign}", "signs") == ["a", sign, "b", sign, sign]
    assert _group(list(f"▁a{sign}b▁{sign}{sign}"), "signs")[0] == ["a", sign, "b", sign, sign]


def test_a_space_of_no_width_parts_words():
    assert split_words("a\u200bb", "signs") == ["a", "\u200b", "b"]


@given(st.text(st.characters(codec="utf-8", exclude_categories=("M", "Cf", "Cn", "So", "Sk")), max_size=30))
def test_text_without_marks_is_cut_as_ever(text):
    assert tokenize(text, "words") == tokenize(text, "words", marks=False)


@given(st.text(st.sampled_from("aé\u00ad\u0301\u0345ż.,'- ١م\u064e\u094d\u200d👍🏽"), max_size=20))
def test_no_word_or_sign_but_the_first_begins_with_a_mark(text):
    tokens = tokenize(text, "words")
    normal = unicodedata.normalize("NFC", text)
    assert "".join(tokens) == "".join(f"▁{word}" for word in normal.split())
    assert not any(unicodedata.category(token[0]) in ("Mn", "Mc", "Me") for token in tokens)


def test_a_vocabulary_of_version_0_1_0_cuts_as_it_did_and_stays_what_it_was(tmp_path):
    tokens = ["<pad>", "<unk>", "<s>", "</s>", "▁வணக", "▁்", "்", "கம", "▁a"]
    old = json.dumps({"level": "words", "tokens": tokens}, ensure_ascii=False, indent=0).encode()
    (tmp_path / "old.json").write_bytes(old)
    vocabulary = load_vocabulary(tmp_path / "old")
    assert vocabulary.encode("வணக்கம் a") == [4, 6, 7, 6, 8]
    assert vocabulary.serialized() == old and load_vocabulary(vocabulary.save(tmp_path / "new")).serialized() == old
    new = build_vocabulary(["வணக்கம் a"], "words", 10)
    assert TokenVocabulary.from_json(json.loads(new.serialized())).encode("வணக்கம் a") == new.encode("வணக்கம் a")
    assert 1 not in new.encode("வணக்கம் a") and len(new.encode("வணக்கம் a")) == 2


@pytest.mark.parametrize("tokens", [[1], ["\ud800"], [None], [["a"]]])
def test_a_token_that_is_no_text_is_no_vocabulary(tmp_path, tokens):
    specials = ["<pad>", "<unk>", "<s>", "</s>"]
    (tmp_path / "v.json").write_text(json.dumps({"level": "words", "tokens": specials + tokens}))
    with pytest.raises(ValueError, match=r"v\.json: not a vocabulary"):
        load_vocabulary(tmp_path / "v")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("น้ำ ที่", ["น้", "ำ", "ที่"]),
        ("葛\U000e0100は3月.", ["葛\U000e0100", "は", "3", "月", "."]),
        ("ខ្ញុំ a\u0301b", ["ខ្", "ញុំ", "a\u0301b"]),
        ("வணக்கம் 中文Tamil", ["வணக்கம்", "中", "文", "Tamil"]),
    ],
)
def test_of_scripts_without_spaces_each_letter_is_a_word_with_its_marks(text, words):
    assert _group(list("".join(f"▁{word}" for word in text.split())), "characters")[0] == words
