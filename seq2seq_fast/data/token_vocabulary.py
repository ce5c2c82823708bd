"""Vocabularies of whole words and of characters."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Any, Literal, cast

from seq2seq_fast.data.base_vocabulary import Vocabulary
from seq2seq_fast.data.errors import InputError
from seq2seq_fast.data.word_pattern import SPACE, word_pattern

SPECIALS = ("<pad>", "<unk>", "<s>", "</s>")
# A word takes the space before it with it; every other sign stands alone, so joining the tokens gives the text back.
_WORD = word_pattern()
# Vocabularies of version 0.1.0 have marks alone, apart from their words: a model must be given what it has learned.
_WORD_WITHOUT_MARKS = re.compile(rf"{SPACE}?\w[\w'\u2019-]*|{SPACE}?[^\w\s]")


class TokenVocabulary(Vocabulary):
    """The most frequent words or characters of a text.

    As in sentencepiece, ``▁`` stands for the space before a token, so `decode` gives back the text that `encode` took
    (in Unicode's composed form, with single spaces) wherever every token is known.

    Args:
        tokens: the tokens, the four special ones first.
        level: "words" or "characters".
        marks: whether words have the marks on their letters; those of version 0.1.0 have them apart.
    """

    suffix = ".json"
    pad_id, unknown_id, bos_id, eos_id = range(4)

    def __init__(self, tokens: Sequence[str], level: Literal["words", "characters"], marks: bool = True) -> None:
        if tuple(tokens[:4]) != SPECIALS or len(set(tokens)) != len(tokens):
            raise ValueError("the tokens must be distinct and begin with the four special ones")
        if level not in ("words", "characters"):
            raise ValueError(f"the level is words or characters, not {level!r}")
        self._tokens = list(tokens)
        self._ids = {token: index for index, token in enumerate(tokens)}
        self._level, self._marks = level, marks

    @classmethod
    def build(cls, lines: Iterable[str], level: Literal["words", "characters"], size: int) -> TokenVocabulary:
        """Take the ``size - 4`` most frequent tokens; among equally frequent ones, the first in the alphabet."""
        if size <= len(SPECIALS):
            raise InputError(f"a vocabulary of {size} pieces has no room beside the {len(SPECIALS)} special ones")
        counts = Counter(token for line in lines for token in tokenize(line, level))
        if not counts:
            raise InputError("the vocabulary's training text is empty")
        order = sorted(counts, key=lambda token: (-counts[token], token))
        return cls([*SPECIALS, *[token for token in order if token not in SPECIALS][: size - len(SPECIALS)]], level)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> TokenVocabulary:
        """Make a vocabulary of what `serialized` wrote."""
        if not all(isinstance(token, str) for token in value["tokens"]):
            raise ValueError("a token is no text")
        json.dumps(value["tokens"], ensure_ascii=False).encode()  # half a character is no text either
        return cls(value["tokens"], value["level"], value.get("marks", value["level"] == "characters"))

    def __len__(self) -> int:
        return len(self._tokens)

    def encode(self, text: str) -> list[int]:
        return [self._ids.get(token, self.unknown_id) for token in self.segment(text)]

    def segment(self, text: str) -> list[str]:
        return tokenize(text, self._level, self._marks)

    def decode(self, ids: Sequence[int], unknown: Sequence[str] | None = None) -> str:
        known = [i for i in ids if i not in (self.pad_id, self.bos_id, self.eos_id)]
        replacements = repeat(SPACE + SPECIALS[self.unknown_id]) if unknown is None else iter(unknown)
        text = "".join(next(replacements) if i == self.unknown_id else self._tokens[i] for i in known)
        return text.replace(SPACE, " ").strip()

    def pieces(self, ids: Sequence[int]) -> list[str]:
        return [self._tokens[i] for i in ids]

    def serialized(self) -> bytes:
        value: dict[str, Any] = {"level": self._level, "tokens": self._tokens}
        if self._level == "words" and self._marks:
            value["marks"] = True
        return json.dumps(value, ensure_ascii=False, indent=0).encode("utf-8")


def tokenize(text: str, level: Literal["words", "characters"], marks: bool = True) -> list[str]:
    """Split text into words and signs, or into characters, with ``▁`` for each space and one at the beginning.

    Args:
        text: any.
        level: what to split into.
        marks: whether words have the marks on their letters, see `TokenVocabulary`.
    """
    words = unicodedata.normalize("NFC", text).split()
    marked = "".join(SPACE + word for word in words)
    if level == "characters":
        return list(marked)
    # Without a sign that attaches to others both patterns find the same, the older one faster.
    plain = text.isascii() or (max(text) < "\u0300" and "\u00ad" not in text)
    return cast(list[str], (_WORD if marks and not plain else _WORD_WITHOUT_MARKS).findall(marked))
