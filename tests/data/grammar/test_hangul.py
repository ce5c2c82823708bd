"""Korean morphology."""

import pytest

from seq2seq_fast.data.grammar.hangul import final, particle, stem, with_final
from seq2seq_fast.data.grammar.korean import number

STEMS = {
    "가다": stem("가", "가"),
    "먹다": stem("먹", "먹어"),
    "듣다": stem("듣", "들어", "들으"),
    "돕다": stem("돕", "도와", "도우"),
    "살다": stem("살", "살아"),
    "하다": stem("하", "해"),
    "춥다": stem("춥", "추워", "추우", kind="adjective"),
    "있다": stem("있", "있어", kind="existence"),
    "것이다": stem("것이", "것이어", kind="copula"),
}


@pytest.mark.parametrize(
    ("word", "formal", "plain", "attributive", "past", "future"),
    [
        ("가다", "갑니다", "간다", "가는", "갔습니다", "갈"),
        ("먹다", "먹습니다", "먹는다", "먹는", "먹었습니다", "먹을"),
        ("듣다", "듣습니다", "듣는다", "듣는", "들었습니다", "들을"),
        ("돕다", "돕습니다", "돕는다", "돕는", "도왔습니다", "도울"),
        ("살다", "삽니다", "산다", "사는", "살았습니다", "살"),
        ("하다", "합니다", "한다", "하는", "했습니다", "할"),
        ("춥다", "춥습니다", "춥다", "추운", "추웠습니다", "추울"),
        ("있다", "있습니다", "있다", "있는", "있었습니다", "있을"),
        ("것이다", "것입니다", "것이라", "것인", "것이었습니다", "것일"),
    ],
)
def test_stems_take_their_endings(word, formal, plain, attributive, past, future):
    one = STEMS[word]
    found = (one.formal, one.plain, one.attributive, one.past.formal, one.future_attributive)
    assert found == (formal, plain, attributive, past, future)


def test_the_past_form_before_a_noun():
    forms = {word: STEMS[word].past_attributive for word in ("가다", "먹다", "듣다", "돕다", "살다")}
    assert forms == {"가다": "간", "먹다": "먹은", "듣다": "들은", "돕다": "도운", "살다": "산"}


def test_final_consonants_are_read_and_written():
    assert [final(text) for text in ("사과", "책", "앉", "말")] == ["", "ㄱ", "ㄵ", "ㄹ"]
    assert with_final("가", "ㅆ") == "갔" and with_final("알", "ㄴ") == "안"


def test_particles_follow_the_last_sound():
    assert particle("책", "을", "를") == "책을" and particle("사과", "을", "를") == "사과를"


def test_numbers_before_what_is_counted():
    assert [number(value) for value in (1, 10, 11, 20, 21, 99)] == ["한", "열", "열한", "스무", "스물한", "아흔아홉"]
