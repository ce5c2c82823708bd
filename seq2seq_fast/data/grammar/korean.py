"""Korean: from meaning to words. The verb closes every clause and carries tense, mood and what joins clauses; particles
say what a noun does; whatever describes a noun, a whole clause too, stands before it."""

from __future__ import annotations

from seq2seq_fast.data.grammar.concepts import ANIMALS, PERSONS
from seq2seq_fast.data.grammar.hangul import Stem, particle, stem
from seq2seq_fast.data.grammar.korean_lexicon import ADJECTIVES, ADVERBS, NOUNS, TO_SOMEONE, VERBS
from seq2seq_fast.data.grammar.meaning import Clause, Company, NounPhrase, Sentence, Time
from seq2seq_fast.data.grammar.words import Key, Word, sentence_case, words

_PARTICLES = {
    "topic": ("은", "는"), "subject": ("이", "가"), "object": ("을", "를"), "and": ("과", "와"), "to": ("에게", "에게"),
    "at": ("에서", "에서"), "into": ("에", "에"), "of": ("의", "의"),
}  # fmt: skip
_DETERMINERS = {"the": "그", "this": "이", "my": "제", "our": "우리", "every": "모든", "a": "한"}
_MONTHS = {
    name: number
    for number, name in enumerate(
        ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
         "December"), start=1,
    )
}  # fmt: skip
_UNITS = ("", "한", "두", "세", "네", "다섯", "여섯", "일곱", "여덟", "아홉")
_TENS = ("", "열", "스물", "서른", "마흔", "쉰", "예순", "일흔", "여든", "아흔")
_FUTURE = stem("것이", "것이어", kind="copula")
_CAN, _CANNOT = stem("있", "있어", kind="existence"), stem("없", "없어", kind="existence")
_DO, _GOOD, _BECOME = stem("하", "해"), stem("좋", "좋아", kind="adjective"), stem("되", "돼")


def linearize(sentence: Sentence) -> list[Word]:
    """Return the sentence's words."""
    if sentence.question:
        body, last, keys = _clause(sentence.first, "topic")
        return sentence_case([*body, Word(last.formal[:-1] + "까", tuple(keys))], "?")
    phrase = _statement(sentence.first)
    if sentence.second is not None:
        joint = {"and": "그리고", "but": "그러나"}[sentence.joint or "and"]
        phrase += [Word(","), Word(joint, ((sentence, "joint"),)), *_statement(sentence.second)]
    return sentence_case(phrase, ".")


def number(value: int) -> str:
    """Return a number from 1 to 99 as it stands before what is counted."""
    tens, units = divmod(value, 10)
    return "스무" if value == 20 else _TENS[tens] + _UNITS[units]


def _statement(clause: Clause) -> list[Word]:
    body, last, keys = _clause(clause, "topic")
    return [*body, Word(last.formal, tuple(keys))]


def _clause(clause: Clause, subject_particle: str, *, tenseless: bool = False) -> tuple[list[Word], Stem, list[Key]]:
    """Return all but the last word, and that word's stem and keys: its ending is the caller's."""
    time, adverbial = _time(clause.time), _adverbial(clause)
    phrase: list[Word] = []
    if clause.fronted:
        phrase += [*(time or adverbial), Word(",")]
        time, adverbial = [], adverbial if time else []
    if clause.subject is not None:
        phrase += _marked(clause.subject, subject_particle)
    phrase += adverbial
    if clause.complement is not None:
        body, last, keys = _clause(clause.complement, "subject")
        phrase += [*body, Word(last.plain + "고", (*keys, (clause, "that")))]
    if clause.recipient is not None:
        phrase += _marked(clause.recipient, "to")
    if clause.object is not None:
        phrase += _marked(clause.object, "to" if clause.verb in TO_SOMEONE else "object")
    # Right before the verb, so that it cannot be taken for a part of a clause that describes an object.
    phrase += time
    if clause.manner is not None:
        phrase += words(ADVERBS[clause.manner], (clause, "manner"))
    if clause.place is not None:
        phrase += _marked(clause.place, "at", (clause, "place"))
    if clause.direction is not None:
        phrase += _marked(clause.direction, "into", (clause, "direction"))
    before, last, keys = _predicate(clause, tenseless)
    return phrase + before, last, keys


def _predicate(clause: Clause, tenseless: bool) -> tuple[list[Word], Stem, list[Key]]:
    verb, auxiliary, negation = (clause, "verb"), (clause, "auxiliary"), (clause, "not")
    keys: list[Key] = [verb]
    if clause.verb is not None:
        last = VERBS[clause.verb]
    else:
        last = _adjective(clause.predicate or "", _is_living(clause.subject))
        keys.append((clause, "predicate"))
    before: list[Word] = []
    if clause.modal == "can":
        before = [Word(last.future_attributive, tuple(keys)), Word("수", (auxiliary,))]
        last, keys = (_CANNOT, [auxiliary, negation]) if clause.negated else (_CAN, [auxiliary])
    elif clause.modal == "should":
        if clause.negated:
            before = [Word(last.text + "지", tuple(keys)), Word("않는", (negation,)), Word("것이", (auxiliary,))]
        else:
            before = [Word(last.attributive, tuple(keys)), Word("것이", (auxiliary,))]
        last, keys = _GOOD, [auxiliary]
    elif clause.modal is not None:
        ending, modal = {"must": ("야", _DO), "may": ("도", _BECOME)}[clause.modal]
        before = [Word(last.infinitive + ending, tuple(keys))]
        last, keys = modal, [auxiliary]
    elif clause.negated:
        before = [Word(last.text + "지", tuple(keys))]
        last, keys = stem("않", "않아", kind="verb" if last.kind == "verb" else "adjective"), [negation]
    if clause.tense == "past":
        last, keys = last if tenseless else last.past, [*keys, auxiliary]
    elif clause.tense == "future":
        before.append(Word(last.future_attributive, tuple(keys)))
        last, keys = _FUTURE, [auxiliary]
    return before, last, keys


def _adverbial(clause: Clause) -> list[Word]:
    """Return the subordinate clause, which its conjunction closes."""
    if clause.adverbial is None or clause.conjunction is None:
        return []
    conjunction = (clause, "conjunction")
    # Before "before" and "while" a clause has no tense of its own: it takes part in that of the main clause.
    tenseless = clause.conjunction in ("before", "while")
    body, last, keys = _clause(clause.adverbial, "subject", tenseless=tenseless)
    if clause.conjunction == "if":
        return [*body, Word(last.joined + "면", (*keys, conjunction))]
    if clause.conjunction == "although":
        return [*body, Word(last.text + "지만", (*keys, conjunction))]
    if clause.conjunction == "while":
        return [*body, Word(last.attributive, tuple(keys)), *words("동안", conjunction)]
    after = {"because": "때문에", "before": "전에"}[clause.conjunction]
    return [*body, Word(last.text + "기", tuple(keys)), *words(after, conjunction)]


def _adjective(concept: str, living: bool) -> Stem:
    return ADJECTIVES.get(concept if living else f"{concept}_thing", ADJECTIVES[concept])


def _is_living(subject: NounPhrase | Company | None) -> bool:
    return not isinstance(subject, NounPhrase) or subject.living


def _marked(phrase: NounPhrase | Company, kind: str, *keys: Key) -> list[Word]:
    """Return a noun phrase with the particle of its part in the clause; the particle expresses ``keys``."""
    if isinstance(phrase, Company):
        result: list[Word] = []
        for member in phrase.members[:-1]:
            result += _marked(member, "and", (phrase, "and"))
        return result + _marked(phrase.members[-1], kind, *keys)
    *before, last = _noun_phrase(phrase)
    text = "제가" if (last.text, kind) == ("저", "subject") else particle(last.text, *_PARTICLES[kind])
    return [*before, Word(text, (*last.keys, *keys))]


def _noun_phrase(phrase: NounPhrase) -> list[Word]:
    if phrase.kind != "noun":
        return words(NOUNS[phrase.noun], (phrase, "noun"))
    result: list[Word] = []
    if phrase.relative is not None:
        result += _relative(phrase.relative, (phrase, "relative"))
    if phrase.owner is not None:
        result += _marked(phrase.owner, "of", (phrase, "of"))
    key = (phrase, "determiner")
    if phrase.determiner == "number" and phrase.count is not None:
        counter = "명" if phrase.noun in PERSONS else "마리" if phrase.noun in ANIMALS else "개"
        result += words(f"{number(phrase.count)} {counter}의", key)
    elif phrase.determiner is not None and not (phrase.determiner == "a" and phrase.plural):
        result += words(_DETERMINERS[phrase.determiner], key)
    for adjective in phrase.adjectives:
        result += words(_adjective(adjective, phrase.living).attributive, (phrase, adjective))
    many = "들" if phrase.plural and phrase.determiner != "number" else ""
    return result + words(NOUNS[phrase.noun] + many, (phrase, "noun"))


def _relative(clause: Clause, key: Key) -> list[Word]:
    """Return a clause that describes the noun behind it, which is its subject or its object."""
    body, _, _ = _clause(clause, "subject", tenseless=True)
    verb = VERBS[clause.verb or ""]
    form = {"present": verb.attributive, "past": verb.past_attributive, "future": verb.future_attributive}[clause.tense]
    if clause.tense == "future":
        body.pop()
    auxiliary = [] if clause.tense == "present" else [(clause, "auxiliary")]
    return [*body, Word(form, ((clause, "verb"), *auxiliary, key))]


def _time(time: Time | None) -> list[Word]:
    if time is None:
        return []
    on, said = (time, "on"), (time, "time")
    if time.kind == "adverb":
        return words(ADVERBS[time.value], said)
    if time.kind == "weekday":
        return words(ADVERBS[time.value] + "에", on, said)
    if time.kind == "month":
        return words(f"{_MONTHS[time.value]}월에", on, said)
    if time.kind == "hour":
        return words(number(int(time.value)), said) + words("시에", on, (time, "hour"))
    if time.kind == "daily":
        return words(ADVERBS[time.value], (time, "every"), said)
    year = words(f"{time.year}년", (time, "year")) if time.year is not None else []
    return [*year, *words(f"{_MONTHS[time.value]}월", said), *words(f"{time.day}일에", (time, "day"), on)]
