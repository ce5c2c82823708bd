"""Words that remember what they express, and what is made of them: text and alignments."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple, Protocol

from seq2seq_fast.data.grammar.meaning import Sentence

Key = tuple[Hashable, str]
_END: tuple[Key, ...] = (("sentence", "end"),)


class Word(NamedTuple):
    """A written word or sign and the places of the meaning (node, role) that it expresses."""

    text: str
    keys: tuple[Key, ...] = ()


class Language(Protocol):
    """What a language's module offers: a function from a meaning to words."""

    def __call__(self, sentence: Sentence) -> list[Word]: ...


def words(text: str, *keys: Key) -> list[Word]:
    """Return the words of ``text``, each expressing all of ``keys``."""
    return [Word(part, keys) for part in text.split()]


def joined(phrases: Sequence[list[Word]], conjunction: str, *keys: Key) -> list[Word]:
    """Return phrases with commas between them and ``conjunction`` before the last."""
    result = list(phrases[0])
    for index, phrase in enumerate(phrases[1:], start=1):
        result += words(conjunction, *keys) if index == len(phrases) - 1 else [Word(",", keys)]
        result += phrase
    return result


def sentence_case(phrase: Sequence[Word], end: str) -> list[Word]:
    """Return the phrase with a capital at its begin, single commas inside, and the sign that ends the sentence."""
    kept: list[Word] = []
    before = ","
    for word in phrase:
        if word.text != "," or before != ",":
            kept.append(word)
            before = word.text
    if before == ",":
        kept.pop()
    first = kept[0]
    return [Word(first.text[0].upper() + first.text[1:], first.keys), *kept[1:], Word(end, _END)]


def to_text(phrase: Sequence[Word]) -> str:
    """Return words as text: signs follow the word before them without a space."""
    text = " ".join([word.text for word in phrase])
    return text.replace(" ,", ",").replace(" .", ".").replace(" ?", "?")


def align(source: Sequence[Word], target: Sequence[Word]) -> tuple[tuple[int, int], ...]:
    """Return all pairs (source word, target word) that express a common place of the meaning, in ascending order."""
    places: dict[Key, list[int]] = {}
    for index, word in enumerate(target):
        for key in word.keys:
            places.setdefault(key, []).append(index)
    return tuple(sorted({(i, j) for i, word in enumerate(source) for key in word.keys for j in places.get(key, ())}))
