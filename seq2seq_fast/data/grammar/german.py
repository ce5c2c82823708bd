"""German: from meaning to words. The finite verb is second in a main clause, first in a question, last in a subordinate
clause; whatever else the verb has (particle, participle, infinitive) closes the clause."""

from __future__ import annotations

from seq2seq_fast.data.grammar.german_lexicon import NOUNS, STEMS, VERBS, WORDS
from seq2seq_fast.data.grammar.meaning import Clause, Company, NounPhrase, Sentence, Time
from seq2seq_fast.data.grammar.words import Word, joined, sentence_case, words

_list = str.split
# Endings by case for masculine, feminine, neuter and plural.
_DER = {"nominative": "der die das die", "accusative": "den die das die", "dative": "dem der dem den"}
_DIESER = {"nominative": "er e es e", "accusative": "en e es e", "dative": "em er em en"}
_EIN = {"nominative": "_ e _ e", "accusative": "en e _ e", "dative": "em er em en"}
_AFTER_DER = {"nominative": "e e e en", "accusative": "en e e en", "dative": "en en en en"}
_AFTER_EIN = {"nominative": "er e es en", "accusative": "en e es en", "dative": "en en en en"}
_ALONE = {"nominative": "er e es e", "accusative": "en e es e", "dative": "em er em en"}
_STEMS = {"this": "dies", "every": "jed", "a": "ein", "my": "mein", "our": "unser"}
_CONTRACTIONS = {("in", "dem"): "im", ("in", "das"): "ins", ("von", "dem"): "vom"}
_UNITS = _list("null ein zwei drei vier fünf sechs sieben acht neun zehn elf zwölf")
_TENS = _list("_ zehn zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig")
_PLURAL_AUXILIARIES = {
    "kann": "können", "muss": "müssen", "soll": "sollen", "darf": "dürfen", "wird": "werden", "hat": "haben",
    "ist": "sind", "war": "waren",
}  # fmt: skip
_FIRST_AUXILIARIES = {"wird": "werde", "hat": "habe", "ist": "bin"}


def linearize(sentence: Sentence) -> list[Word]:
    """Return the sentence's words."""
    if sentence.question:
        return sentence_case(_main(sentence.first, question=True), "?")
    phrase = _main(sentence.first)
    if sentence.second is not None:
        joint = {"and": "und", "but": "aber"}[sentence.joint or "and"]
        phrase += [Word(","), Word(joint, ((sentence, "joint"),)), *_main(sentence.second)]
    return sentence_case(phrase, ".")


def number(value: int) -> str:
    """Return a number from 2 to 99 in words."""
    if value <= 12:
        return _UNITS[value]
    tens, units = divmod(value, 10)
    unit = {6: "sech", 7: "sieb"}.get(units, _UNITS[units]) if tens == 1 else _UNITS[units]
    return (unit + ("und" if tens > 1 else "") if units else "") + _TENS[tens]


def _main(clause: Clause, *, question: bool = False) -> list[Word]:
    subject, (finite, closing) = _noun_phrase(clause.subject, "nominative"), _verb(clause, clause.subject)
    time, adverbial = _time(clause.time), _subordinate_adverbial(clause)
    if question:
        middle = [*finite, *subject, *time]
    elif clause.fronted:
        middle = [*(time or adverbial), *finite, *subject]
        adverbial = adverbial if time else []
    else:
        middle = [*subject, *finite, *time]
    return [*middle, *_middle_field(clause), *closing, *_complement(clause), *adverbial]


def _subordinate(clause: Clause, introduction: list[Word], gap: NounPhrase | None = None) -> list[Word]:
    finite, closing = _verb(clause, clause.subject or gap)
    if clause.verb is not None and closing and VERBS[clause.verb].particle and _is_simple(clause):
        last = [Word(closing[-1].text + finite[0].text, finite[0].keys)]
    else:
        last = [*closing, *finite]
    subject = _noun_phrase(clause.subject, "nominative") if clause.subject is not None else []
    body = [*introduction, *subject, *_time(clause.time), *_middle_field(clause), *last]
    return [Word(","), *body, *_complement(clause), *_subordinate_adverbial(clause), Word(",")]


def _subordinate_adverbial(clause: Clause) -> list[Word]:
    if clause.adverbial is None or clause.conjunction is None:
        return []
    return _subordinate(clause.adverbial, words(WORDS[clause.conjunction], (clause, "conjunction")))


def _complement(clause: Clause) -> list[Word]:
    return _subordinate(clause.complement, words("dass", (clause, "that"))) if clause.complement is not None else []


def _middle_field(clause: Clause) -> list[Word]:
    """Return what stands between the finite verb and the closing one: the time is already there."""
    phrase: list[Word] = []
    if clause.recipient is not None:
        phrase += _noun_phrase(clause.recipient, "dative")
    if clause.object is not None:
        dative = clause.verb is not None and VERBS[clause.verb].dative
        phrase += _noun_phrase(clause.object, "dative" if dative else "accusative")
    if clause.negated:
        phrase += words("nicht", (clause, "not"))
    if clause.manner is not None:
        phrase += words(WORDS[clause.manner], (clause, "manner"))
    if clause.place is not None:
        phrase += _contracted("in", _noun_phrase(clause.place, "dative"), (clause, "place"))
    if clause.direction is not None:
        phrase += _contracted("in", _noun_phrase(clause.direction, "accusative"), (clause, "direction"))
    if clause.predicate is not None:
        phrase += words(WORDS[clause.predicate], (clause, "predicate"))
    return phrase


def _is_simple(clause: Clause) -> bool:
    return clause.modal is None and clause.tense == "present"


def _verb(clause: Clause, subject: NounPhrase | Company | None) -> tuple[list[Word], list[Word]]:
    """Return the finite verb and what closes the clause."""
    verb_key, auxiliary_key = (clause, "verb"), (clause, "auxiliary")
    first = isinstance(subject, NounPhrase) and subject.noun == "I"
    plural = isinstance(subject, Company) or (subject is not None and subject.plural)

    def auxiliary(third: str) -> str:
        return _PLURAL_AUXILIARIES[third] if plural else _FIRST_AUXILIARIES.get(third, third) if first else third

    if clause.verb is None:
        if clause.tense == "future":
            return words(auxiliary("wird"), auxiliary_key), words("sein", verb_key)
        return words(auxiliary("war" if clause.tense == "past" else "ist"), verb_key), []
    verb = VERBS[clause.verb]
    if _is_simple(clause):
        stem = verb.infinitive.removesuffix("n").removesuffix("e")
        finite = verb.infinitive if plural else f"{stem}e" if first else verb.third
        return words(finite, verb_key), words(verb.particle, verb_key)
    if clause.tense == "past":
        finite = auxiliary("ist" if verb.auxiliary == "sein" else "hat")
        return words(finite, auxiliary_key), words(verb.participle, verb_key)
    finite = auxiliary(WORDS[clause.modal] if clause.modal else "wird")
    return words(finite, auxiliary_key), words(verb.particle + verb.infinitive, verb_key)


def _noun_phrase(phrase: NounPhrase | Company | None, case: str) -> list[Word]:
    if phrase is None:
        return []
    if isinstance(phrase, Company):
        return joined([_noun_phrase(member, case) for member in phrase.members], "und", (phrase, "and"))
    if phrase.kind != "noun":
        return words(WORDS.get(phrase.noun, phrase.noun), (phrase, "noun"))
    form = _form(phrase)
    noun = NOUNS[phrase.noun]
    written = noun.plural if phrase.plural else noun.singular
    if phrase.plural and case == "dative" and not written.endswith(("n", "s")):
        written += "n"
    determiner, endings = _determiner(phrase, case)
    ending = endings[case].split()[form]
    result = words(determiner, (phrase, "determiner"))
    for adjective in phrase.adjectives:
        word = WORDS[adjective]
        result += words(STEMS.get(word, word.removesuffix("e")) + ending, (phrase, adjective))
    result += words(written, (phrase, "noun"))
    if phrase.owner is not None:
        result += _contracted("von", _noun_phrase(phrase.owner, "dative"), (phrase, "of"))
    if phrase.relative is not None:
        pronoun_case = "nominative" if phrase.relative.subject is None else "accusative"
        pronoun = words(_DER[pronoun_case].split()[form], (phrase, "relative"))
        result += _subordinate(phrase.relative, pronoun, gap=phrase)
    return result


def _form(phrase: NounPhrase) -> int:
    return 3 if phrase.plural else "mfn".index(NOUNS[phrase.noun].gender)


def _determiner(phrase: NounPhrase, case: str) -> tuple[str, dict[str, str]]:
    """Return the determiner and the endings that adjectives take behind it."""
    form = _form(phrase)
    if phrase.determiner == "the":
        return _DER[case].split()[form], _AFTER_DER
    if phrase.determiner in ("this", "every"):
        return _STEMS[phrase.determiner] + _DIESER[case].split()[form], _AFTER_DER
    if phrase.determiner == "number" and phrase.count is not None:
        return number(phrase.count), _ALONE
    if phrase.determiner == "a" and phrase.plural:
        return "", _ALONE
    ending = _EIN[case].split()[form].replace("_", "")
    return _STEMS[phrase.determiner or "a"] + ending, _AFTER_EIN


def _contracted(preposition: str, phrase: list[Word], *keys: tuple[object, str]) -> list[Word]:
    short = _CONTRACTIONS.get((preposition, phrase[0].text))
    if short is not None:
        return [Word(short, (*keys, *phrase[0].keys)), *phrase[1:]]
    return [*words(preposition, *keys), *phrase]


def _time(time: Time | None) -> list[Word]:
    if time is None:
        return []
    on, keys = (time, "on"), [(time, "time")]
    if time.kind == "adverb":
        return words(WORDS[time.value], *keys)
    if time.kind == "weekday":
        return words("am", on) + words(WORDS[time.value], *keys)
    if time.kind == "month":
        return words("im", on) + words(WORDS[time.value], *keys)
    if time.kind == "hour":
        return words("um", on) + words(number(int(time.value)), *keys) + words("Uhr", (time, "hour"))
    if time.kind == "daily":
        every = {"week": "jede", "year": "jedes"}.get(time.value, "jeden")
        return words(every, (time, "every")) + words(WORDS[time.value], *keys)
    day = [*words(str(time.day), (time, "day")), Word(".", ((time, "day"),))]
    year = words(str(time.year), (time, "year")) if time.year is not None else []
    return [*words("am", on), *day, *words(WORDS[time.value], *keys), *year]
