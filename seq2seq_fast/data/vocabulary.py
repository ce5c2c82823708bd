"""Vocabularies of every kind, built from text or loaded from a file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from seq2seq_fast.data.base_vocabulary import Vocabulary
from seq2seq_fast.data.errors import InputError
from seq2seq_fast.data.token_vocabulary import TokenVocabulary

__all__ = ["Vocabulary", "VocabularyKind", "build_vocabulary", "load_vocabulary"]

VocabularyKind = Literal["bpe", "unigram", "words", "characters"]


def build_vocabulary(lines: Iterable[str], kind: VocabularyKind, size: int) -> Vocabulary:
    """Build a vocabulary of at most ``size`` pieces from text.

    Args:
        lines: the sentences of the training set (of both languages for a joint vocabulary).
        kind: "bpe" or "unigram" (sentencepiece), "words" or "characters".
        size: the number of pieces with the four special ones; fewer where the text does not give as many.

    Raises:
        InputError: the text is too small for any vocabulary of this kind.
    """
    if kind == "bpe" or kind == "unigram":
        from seq2seq_fast.data.sentencepiece_vocabulary import SentencePieceVocabulary

        return SentencePieceVocabulary.build(lines, kind, size)
    return TokenVocabulary.build(lines, kind, size)


def load_vocabulary(stem: str | Path) -> Vocabulary:
    """Load the vocabulary that was saved under ``stem`` (or the full name of its file), whatever its kind.

    Raises:
        InputError: there is no such file or it holds no vocabulary.
    """
    stem = Path(stem)
    for path in (stem, Path(f"{stem}.model"), Path(f"{stem}.json")):
        if path.is_file():
            break
    else:
        raise InputError(f"{stem}: no vocabulary (neither {stem.name}.model nor {stem.name}.json is there)")
    if path.suffix == ".json":
        try:
            return TokenVocabulary.from_json(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: not a vocabulary ({error})") from None
    from seq2seq_fast.data.sentencepiece_vocabulary import SentencePieceVocabulary

    return SentencePieceVocabulary.load(path)
