"""Korean morphology on composed Hangul syllables: final consonants, particles, stems of verbs and adjectives."""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal["verb", "adjective", "existence", "copula"]

_FIRST = 0xAC00
_FINALS = " ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ"


def final(text: str) -> str:
    """Return the final consonant of the last syllable, "" where it has none."""
    return _FINALS[(ord(text[-1]) - _FIRST) % 28].strip()


def with_final(text: str, consonant: str) -> str:
    """Return the text with ``consonant`` closing its last syllable, which is open or ends in ㄹ (that gives way)."""
    syllable = ord(text[-1]) - _FIRST
    return text[:-1] + chr(_FIRST + syllable - syllable % 28 + _FINALS.index(consonant))


def particle(word: str, after_consonant: str, after_vowel: str) -> str:
    """Return the word with the form of the particle that its last sound takes."""
    return word + (after_consonant if final(word) else after_vowel)


class Stem(NamedTuple):
    """A verb or adjective that takes endings.

    Attributes:
        text: before consonants: 먹, 가, 듣, 살.
        joined: before endings that join by 으: 먹으, 가, 들으, 살.
        infinitive: the form in 아 or 어: 먹어, 가, 들어, 살아.
        kind: "verb", "adjective", "existence" (있, 없, and every past) or "copula" (what ends in 이).
    """

    text: str
    joined: str
    infinitive: str
    kind: Kind = "verb"

    @property
    def past(self) -> Stem:
        """The stem of its past: 먹었, 갔."""
        text = with_final(self.infinitive, "ㅆ")
        return Stem(text, text + "으", text + "어", "existence")

    @property
    def open(self) -> str:
        """The stem before ㄴ and ㅂ, where a final ㄹ falls: 살 gives 사."""
        return with_final(self.text, " ") if final(self.text) == "ㄹ" else self.text

    @property
    def formal(self) -> str:
        """The polite declarative: 갑니다, 먹습니다."""
        return self.open + "습니다" if final(self.open) else with_final(self.open, "ㅂ") + "니다"

    @property
    def plain(self) -> str:
        """The plain declarative, which quotations are made of: 간다, 먹는다, 춥다, 갔다, 것이라."""
        if self.kind != "verb":
            return self.text + ("라" if self.kind == "copula" else "다")
        return self.open + "는다" if final(self.open) else with_final(self.open, "ㄴ") + "다"

    @property
    def attributive(self) -> str:
        """The form before a noun: 가는, 먹는, 추운."""
        return self.open + "는" if self.kind in ("verb", "existence") else with_final(self.joined, "ㄴ")

    @property
    def past_attributive(self) -> str:
        """Of a verb: 간, 먹은."""
        return with_final(self.joined, "ㄴ")

    @property
    def future_attributive(self) -> str:
        """갈, 먹을."""
        return with_final(self.joined, "ㄹ")


def stem(text: str, infinitive: str, joined: str = "", *, kind: Kind = "verb") -> Stem:
    """Make a stem; ``joined`` is worked out where it is regular."""
    regular = text + "으" if final(text) not in ("", "ㄹ") else text
    return Stem(text, joined or regular, infinitive, kind)
