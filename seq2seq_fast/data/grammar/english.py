"""English: from meaning to words."""

from __future__ import annotations

import re

from seq2seq_fast.data.grammar.meaning import Clause, Company, NounPhrase, Sentence, Time
from seq2seq_fast.data.grammar.words import Word, joined, sentence_case, words

_PLURALS = {"man": "men", "woman": "women", "child": "children", "mouse": "mice", "thief": "thieves", "knife": "knives"}
_PAST = dict(
    re.findall(
        r"(\w+):(\w+)",
        "sleep:slept fall:fell get:got swim:swam come:came sing:sang go:went run:ran drive:drove see:saw hear:heard "
        "find:found meet:met wake:woke know:knew read:read write:wrote eat:ate cut:cut put:put take:took buy:bought "
        "sell:sold throw:threw steal:stole lose:lost forget:forgot hide:hid draw:drew bring:brought leave:left "
        "give:gave send:sent lend:lent say:said think:thought feed:fed",
    )
)
_list = str.split
_UNITS = _list(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS = _list("_ _ twenty thirty forty fifty sixty seventy eighty ninety")


def linearize(sentence: Sentence) -> list[Word]:
    """Return the sentence's words."""
    if sentence.question:
        return sentence_case(_clause(sentence.first, question=True), "?")
    phrase = _clause(sentence.first)
    if sentence.second is not None and sentence.joint is not None:
        phrase += [Word(","), Word(sentence.joint, ((sentence, "joint"),)), *_clause(sentence.second)]
    return sentence_case(phrase, ".")


def number(value: int) -> str:
    """Return a number from 1 to 99 in words."""
    if value < 20:
        return _UNITS[value]
    tens, units = divmod(value, 10)
    return _TENS[tens] + (f"-{_UNITS[units]}" if units else "")


def _clause(clause: Clause, *, question: bool = False, gap: NounPhrase | None = None) -> list[Word]:
    """Return a clause; ``gap`` is the noun phrase outside it that a relative clause speaks of."""
    person = _person(clause.subject or gap)
    first, rest = _verb(clause, person, inverted=question)
    phrase: list[Word] = []
    adverbial = _adverbial(clause)
    time = _time(clause.time) if clause.time else []
    if clause.fronted:
        phrase += time or [*adverbial, Word(",")]
    subject_words = _noun_phrase(clause.subject) if clause.subject is not None else []
    phrase += [*first, *subject_words, *rest] if question else [*subject_words, *first, *rest]
    if clause.object is not None:
        phrase += _noun_phrase(clause.object)
    if clause.recipient is not None:
        phrase += words("to", (clause.recipient, "noun")) + _noun_phrase(clause.recipient)
    if clause.direction is not None:
        phrase += words("into", (clause, "direction")) + _noun_phrase(clause.direction)
    if clause.place is not None:
        phrase += words("in", (clause, "place")) + _noun_phrase(clause.place)
    if clause.manner is not None:
        phrase += words(clause.manner, (clause, "manner"))
    if not clause.fronted:
        phrase += time
    if clause.complement is not None:
        phrase += words("that", (clause, "that")) + _clause(clause.complement)
    if adverbial and (not clause.fronted or time):
        phrase += adverbial
    return phrase


def _adverbial(clause: Clause) -> list[Word]:
    if clause.adverbial is None or clause.conjunction is None:
        return []
    return words(clause.conjunction, (clause, "conjunction")) + _clause(clause.adverbial)


def _person(subject: NounPhrase | Company | None) -> str:
    """Return "I", "plural" or "singular"."""
    if isinstance(subject, NounPhrase) and subject.noun == "I":
        return "I"
    return "plural" if isinstance(subject, Company) or (subject is not None and subject.plural) else "singular"


def _verb(clause: Clause, person: str, *, inverted: bool) -> tuple[list[Word], list[Word]]:
    """Return the first verb, which stands before the subject in a question, and all that stands behind."""
    verb, auxiliary, negation = (clause, "verb"), (clause, "auxiliary"), (clause, "not")
    negated = words("not", negation) if clause.negated else []
    if clause.predicate is not None:
        predicate = words(clause.predicate, (clause, "predicate"))
        if clause.tense == "future":
            return words("will", auxiliary), [*negated, *words("be", verb), *predicate]
        return words(_be(person, clause.tense), verb), [*negated, *predicate]
    assert clause.verb is not None
    base, _, particle = clause.verb.partition("_")
    helper = clause.modal or ("will" if clause.tense == "future" else None)
    if helper == "can" and clause.negated and not inverted:
        helper, negated, auxiliary_keys = "cannot", [], [auxiliary, negation]
    else:
        auxiliary_keys = [auxiliary]
    if helper is None and (inverted or clause.negated):
        helper = "did" if clause.tense == "past" else "does" if person == "singular" else "do"
        auxiliary_keys = [auxiliary if clause.tense == "past" else verb]
    if helper is not None:
        return words(helper, *auxiliary_keys), [*negated, *words(f"{base} {particle}", verb)]
    if clause.tense == "past":
        return words(_past(base), verb, auxiliary), words(particle, verb)
    return words(_third(base) if person == "singular" else base, verb), words(particle, verb)


def _be(person: str, tense: str) -> str:
    if tense == "past":
        return "were" if person == "plural" else "was"
    return {"I": "am", "plural": "are", "singular": "is"}[person]


def _third(base: str) -> str:
    if base.endswith("y") and base[-2] not in "aeou":
        return base[:-1] + "ies"
    return base + ("es" if base.endswith(("s", "sh", "ch", "x", "o")) else "s")


def _past(base: str) -> str:
    if base in _PAST:
        return _PAST[base]
    if base.endswith("y") and base[-2] not in "aeou":
        return base[:-1] + "ied"
    return base + ("d" if base.endswith("e") else "ed")


def _noun_phrase(phrase: NounPhrase | Company) -> list[Word]:
    if isinstance(phrase, Company):
        return joined([_noun_phrase(member) for member in phrase.members], "and", (phrase, "and"))
    if phrase.kind != "noun":
        return words(phrase.noun, (phrase, "noun"))
    result = [Word(adjective, ((phrase, adjective),)) for adjective in phrase.adjectives]
    result += words(_plural(phrase.noun) if phrase.plural else phrase.noun, (phrase, "noun"))
    result = _determiner(phrase, result[0].text) + result
    if phrase.owner is not None:
        result += words("of", (phrase, "of")) + _noun_phrase(phrase.owner)
    if phrase.relative is not None:
        pronoun = "who" if phrase.living else "that"
        result += words(pronoun, (phrase, "relative")) + _clause(phrase.relative, gap=phrase)
    return result


def _determiner(phrase: NounPhrase, following: str) -> list[Word]:
    key = (phrase, "determiner")
    if phrase.determiner == "number" and phrase.count is not None:
        return words(number(phrase.count), key)
    if phrase.determiner == "a":
        return [] if phrase.plural else words("an" if following[0] in "aeiou" else "a", key)
    if phrase.determiner == "this":
        return words("these" if phrase.plural else "this", key)
    return words(phrase.determiner or "", key)


def _plural(noun: str) -> str:
    if noun in _PLURALS:
        return _PLURALS[noun]
    if noun.endswith("y") and noun[-2] not in "aeou":
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("s", "sh", "ch", "x", "tomato", "potato")) else "s")


def _time(time: Time) -> list[Word]:
    keys = [(time, "time")]
    if time.kind == "adverb":
        return words(time.value, *keys)
    if time.kind == "weekday":
        return words("on", (time, "on")) + words(time.value, *keys)
    if time.kind == "month":
        return words("in", (time, "on")) + words(time.value, *keys)
    if time.kind == "hour":
        return words("at", (time, "on")) + words(number(int(time.value)), *keys) + words("o'clock", (time, "hour"))
    if time.kind == "daily":
        return words("every", (time, "every")) + words(time.value, *keys)
    date = words("on", (time, "on")) + words(time.value, *keys) + words(str(time.day), (time, "day"))
    return date + ([Word(","), *words(str(time.year), (time, "year"))] if time.year is not None else [])
