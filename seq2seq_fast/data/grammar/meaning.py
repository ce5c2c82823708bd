"""The meaning of a sentence as a tree: the abstract half of the synchronous grammar.

Every language turns the same tree into words. A word remembers the places of the tree that it expresses, so two
languages' words are aligned where they express the same place. Nodes are told apart by identity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Tense = Literal["present", "past", "future"]
Determiner = Literal["the", "a", "this", "my", "our", "every", "number"]


@dataclass(frozen=True, eq=False)
class NounPhrase:
    """A thing or a living being.

    Attributes:
        noun: concept, proper name, or pronoun.
        kind: which of the three.
        determiner: the word before a noun; None for names and pronouns.
        count: the number where the determiner is "number".
        adjectives: concepts.
        owner: whom it belongs to.
        relative: a clause that says which one is meant; the phrase itself is that clause's subject or object.
        living: whether it lives.
    """

    noun: str
    kind: Literal["noun", "name", "pronoun"]
    plural: bool = False
    determiner: Determiner | None = None
    count: int | None = None
    adjectives: tuple[str, ...] = ()
    owner: NounPhrase | None = None
    relative: Clause | None = None
    living: bool = True


@dataclass(frozen=True, eq=False)
class Company:
    """Several noun phrases joined by "and"."""

    members: tuple[NounPhrase, ...]


@dataclass(frozen=True, eq=False)
class Time:
    """When something happens.

    Attributes:
        kind: "adverb" (value: today, ...), "weekday", "month", "hour" (value: a number as text), "date", "daily"
            (value: day, week, ...).
        value: the concept.
        day, year: of a date.
    """

    kind: Literal["adverb", "weekday", "month", "hour", "date", "daily"]
    value: str
    day: int = 0
    year: int | None = None


@dataclass(frozen=True, eq=False)
class Clause:
    """One verb and what belongs to it.

    Attributes:
        verb: concept; None in a clause that says what the subject is like (then ``predicate``).
        subject, object: None where a relative clause's own noun phrase takes the place.
        complement: what is said, believed, ...
        adverbial: a subordinate clause with its conjunction.
        fronted: the time, or else the adverbial clause, comes first.
    """

    subject: NounPhrase | Company | None
    verb: str | None
    tense: Tense = "present"
    modal: str | None = None
    negated: bool = False
    predicate: str | None = None
    object: NounPhrase | None = None
    recipient: NounPhrase | None = None
    direction: NounPhrase | None = None
    place: NounPhrase | None = None
    time: Time | None = None
    manner: str | None = None
    complement: Clause | None = None
    conjunction: str | None = None
    adverbial: Clause | None = None
    fronted: bool = False


@dataclass(frozen=True, eq=False)
class Sentence:
    """One or two main clauses, stated or asked.

    Attributes:
        second: a further main clause, joined by ``joint`` ("and" or "but"); never in a question.
    """

    first: Clause
    question: bool = False
    joint: Literal["and", "but"] | None = None
    second: Clause | None = None
