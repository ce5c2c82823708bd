"""Random meanings."""

from __future__ import annotations

from random import Random
from typing import Literal

from seq2seq_fast.data.grammar.concepts import (
    ADJECTIVES,
    CLASSES,
    CONJUNCTIONS,
    FRAMES,
    MANNERS,
    MODALS,
    MONTHS,
    NAMES,
    PRONOUNS,
    VERBS_BY_KIND,
    WEEKDAYS,
)
from seq2seq_fast.data.grammar.meaning import Clause, Company, Determiner, NounPhrase, Sentence, Tense, Time

_TENSES: tuple[Tense, ...] = ("present", "present", "past", "future")
_DETERMINERS: tuple[Determiner, ...] = ("the", "the", "the", "a", "a", "this", "my", "our", "every", "number")


class MeaningSampler:
    """Draw meanings; the same seed gives the same sequence.

    What a language could not tell apart is not drawn, so that a sentence has one translation: in German "das Kind, das
    die Frau sieht" may see or be seen, so a relative clause speaks of its object only where that is a thing.

    Args:
        seed: of the random numbers.
    """

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def sentence(self) -> Sentence:
        """Draw a sentence: mostly one main clause, sometimes with subordinate clauses, two, or a question."""
        size = self._random.choices((0, 1, 2, 3, 4), weights=(25, 30, 25, 12, 8))[0]
        if self._chance(0.1):
            return Sentence(self._clause(min(size, 2), question=True), question=True)
        if size >= 2 and self._chance(0.35):
            joint: Literal["and", "but"] = self._random.choice(("and", "but"))
            return Sentence(self._clause(size - 1), joint=joint, second=self._clause(size - 2))
        return Sentence(self._clause(size))

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def _clause(
        self, size: int, *, question: bool = False, embedded: bool = False, given_tense: Tense | None = None
    ) -> Clause:
        """Draw a clause with about ``size`` further clauses and phrases inside it."""
        if self._chance(0.12):
            return self._state(size, given_tense)
        verb = self._random.choice(VERBS_BY_KIND["clause" if size >= 1 and self._chance(0.25) else "plain"])
        frame = FRAMES[verb]
        tense: Tense = given_tense if given_tense is not None else self._random.choice(_TENSES)
        modal = self._random.choice(MODALS) if tense == "present" and self._chance(0.3) else None
        time = self._time(tense) if self._chance(0.4) else None
        wants_adverbial = size >= 2 and not embedded and not frame.clause and not question and self._chance(0.6)
        inner = size - 1 if frame.clause or wants_adverbial else size
        conjunction = self._random.choice(CONJUNCTIONS) if wants_adverbial else None
        subject = self._subject(frame.subject, inner)
        return Clause(
            subject=subject,
            verb=verb,
            tense=tense,
            modal=modal,
            negated=modal not in ("must", "may") and self._chance(0.15),
            object=self._object(frame.object, inner) if frame.object else None,
            recipient=self._noun_phrase("person", 0) if frame.recipient else None,
            direction=self._noun_phrase("place", 0) if frame.direction else None,
            place=self._noun_phrase("place", 0) if not frame.direction and self._chance(0.15 * min(size, 2)) else None,
            time=time,
            manner=self._random.choice(MANNERS) if not frame.clause and self._chance(0.15) else None,
            complement=self._clause(inner, embedded=True) if frame.clause else None,
            conjunction=conjunction,
            adverbial=self._adverbial(conjunction, inner, tense) if conjunction is not None else None,
            fronted=not question and not embedded and (time is not None or wants_adverbial) and self._chance(0.5),
        )

    def _adverbial(self, conjunction: str, size: int, tense: Tense) -> Clause:
        """Draw a subordinate clause. What happens before or while the main clause does has its tense."""
        inherited: Tense | None = None
        if conjunction in ("before", "while"):
            inherited = "past" if tense == "past" else "present"
        return self._clause(size, embedded=True, given_tense=inherited)

    def _state(self, size: int, given_tense: Tense | None) -> Clause:
        """Draw what someone or something is like: "the soup is cold"."""
        kind = self._random.choice(("living", "living", "thing", "food", "place"))
        subject = self._subject("living", size) if kind == "living" else self._noun_phrase(kind, size)
        tense: Tense = given_tense if given_tense is not None else self._random.choice(_TENSES)
        predicate = self._random.choice(ADJECTIVES[kind])
        return Clause(subject=subject, verb=None, predicate=predicate, tense=tense, negated=self._chance(0.15))

    def _subject(self, concepts: str, size: int) -> NounPhrase | Company:
        draw = self._random.random()
        if draw < 0.2:
            pronoun = self._random.choice(PRONOUNS)
            return NounPhrase(pronoun, "pronoun", plural=pronoun in ("we", "they"))
        if draw < 0.4:
            return NounPhrase(self._random.choice(NAMES), "name")
        if draw < 0.5:
            names = [NounPhrase(name, "name") for name in self._random.sample(NAMES, self._random.choice((1, 2)))]
            return Company((*names, self._noun_phrase(concepts, 0)))
        return self._noun_phrase(concepts, size)

    def _object(self, concepts: str, size: int) -> NounPhrase:
        if concepts in ("living", "person") and self._chance(0.25):
            return NounPhrase(self._random.choice(NAMES), "name")
        return self._noun_phrase(concepts, size)

    def _noun_phrase(self, concepts: str, size: int) -> NounPhrase:
        """Draw a noun with determiner and adjectives and, where ``size`` allows, an owner or a clause."""
        living = concepts in ("living", "person")
        determiner = self._random.choice(_DETERMINERS)
        plural = determiner == "number" or (determiner != "every" and self._chance(0.25))
        kind = concepts if concepts in ADJECTIVES else "living" if living else "thing"
        adjectives = self._random.sample(ADJECTIVES[kind], self._random.choices((0, 1, 2), (60, 35, 5))[0])
        extra = self._random.choices(("none", "owner", "relative"), (50, 17, 33))[0] if size >= 1 else "none"
        return NounPhrase(
            self._random.choice(CLASSES[concepts]),
            "noun",
            plural=plural,
            determiner=determiner,
            count=self._random.randint(2, 99) if determiner == "number" else None,
            adjectives=tuple(adjectives),
            owner=self._object("person", 0) if extra == "owner" else None,
            relative=self._relative(concepts, size) if extra == "relative" else None,
            living=living,
        )

    def _relative(self, concepts: str, size: int) -> Clause | None:
        """Draw a clause whose subject (of a living being) or object (of a thing) is the phrase that it belongs to."""
        living = concepts in ("living", "person")
        takes = [
            verb
            for verb in VERBS_BY_KIND["plain"]
            if (FRAMES[verb].subject == "living" or concepts == "person" if living else FRAMES[verb].object == concepts)
        ]
        if not takes:
            return None
        verb = self._random.choice(takes)
        frame = FRAMES[verb]
        tense: Tense = self._random.choice(("present", "past", "future"))
        return Clause(
            subject=None if living else self._subject(frame.subject, 0),
            verb=verb,
            tense=tense,
            object=self._object(frame.object, size - 1) if living and frame.object else None,
            recipient=self._noun_phrase("person", 0) if frame.recipient else None,
            direction=self._noun_phrase("place", 0) if frame.direction else None,
            time=self._time(tense) if self._chance(0.3) else None,
        )

    def _time(self, tense: Tense) -> Time:
        kind = self._random.choice(("adverb", "weekday", "month", "hour", "date", "daily"))
        if kind == "adverb":
            adverbs = {"past": ("yesterday", "today"), "future": ("tomorrow", "soon"), "present": ("today", "now")}
            return Time("adverb", self._random.choice(adverbs[tense]))
        if kind == "weekday":
            return Time("weekday", self._random.choice(WEEKDAYS))
        if kind == "month":
            return Time("month", self._random.choice(MONTHS))
        if kind == "hour":
            return Time("hour", str(self._random.randint(1, 12)))
        if kind == "daily":
            return Time("daily", self._random.choice(("day", "week", "year", "evening", "morning")))
        year = self._random.randint(1980, 2029) if self._chance(0.4) else None
        return Time("date", self._random.choice(MONTHS), day=self._random.randint(1, 28), year=year)
