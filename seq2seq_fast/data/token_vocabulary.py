"""Vocabularies of whole words and of characters."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Any, Literal, cast

from seq2seq_fast.data.errors import InputError
from seq2seq_fast.data.vocabulary import Vocabulary

SPACE = "▁"
SPECIALS = ("<pad>", "<unk>", "<s>", "</s>")
# A word takes the space before it with it; every other sign stands alone, so joining the tokens gives the text back.
_WORD = re.compile(rf"{SPACE}?\w[\w'\u2019-]*|{SPACE}?[^\w\s]")


class TokenVocabulary(Vocabulary):
    """The most frequent words or characters of a text.

    As in sentencepiece, ``▁`` stands for the space before a token, so `decode` gives back the text that `encode` took
    (in Unicode's composed form, with single spaces) wherever every token is known.

    Args:
        tokens: the tokens, the four special ones first.
        level: "words" or "characters".
    """

    suffix = ".json"
    pad_id, unknown_id, bos_id, eos_id = range(4)

    def __init__(self, tokens: Sequence[str], level: Literal["words", "characters"]) -> None:
        if tuple(tokens[:4]) != SPECIALS or len(set(tokens)) != len(tokens):
            raise ValueError("the tokens must be distinct and begin with the four special ones")
        if level not in ("words", "characters"):
            raise ValueError(f"the level is words or characters, not {level!r}")
        self._tokens = list(tokens)
        self._ids = {token: index for index, token in enumerate(tokens)}
        self._level = level

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
        return cls(value["tokens"], value["level"])

    def __len__(self) -> int:
        return len(self._tokens)

    def encode(self, text: str) -> list[int]:
        return [self._ids.get(token, self.unknown_id) for token in tokenize(text, self._level)]

    def segment(self, text: str) -> list[str]:
        return tokenize(text, self._level)

    def decode(self, ids: Sequence[int], unknown: Sequence[str] | None = None) -> str:
        known = [i for i in ids if i not in (self.pad_id, self.bos_id, self.eos_id)]
        replacements = repeat(SPACE + SPECIALS[self.unknown_id]) if unknown is None else iter(unknown)
        text = "".join(next(replacements) if i == self.unknown_id else self._tokens[i] for i in known)
        return text.replace(SPACE, " ").strip()

    def pieces(self, ids: Sequence[int]) -> list[str]:
        return [self._tokens[i] for i in ids]

    def serialized(self) -> bytes:
        value = {"level": self._level, "tokens": self._tokens}
        return json.dumps(value, ensure_ascii=False, indent=0).encode("utf-8")


def tokenize(text: str, level: Literal["words", "characters"]) -> list[str]:
    """Split text into words and signs, or into characters, with ``▁`` for each space and one at the beginning."""
    words = unicodedata.normalize("NFC", text).split()
    marked = "".join(SPACE + word for word in words)
    return list(marked) if level == "characters" else cast(list[str], _WORD.findall(marked))
