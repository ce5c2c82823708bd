"""The embedded corpus: sentence pairs with word alignments from a synchronous grammar, with nothing to download."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from importlib import import_module
from itertools import islice
from typing import Literal, NamedTuple, cast

from seq2seq_fast.data.errors import InputError
from seq2seq_fast.data.grammar.sampler import MeaningSampler
from seq2seq_fast.data.grammar.words import Language, Word, align, to_text

Split = Literal["train", "validation", "test"]
# A language is a module of this package with a function ``linearize``; its name is the only thing to add here.
LANGUAGES = {"de": "german", "en": "english", "ko": "korean"}
# Of each hundred sentences, how many fall to the test and the validation set.
_TEST_SHARE, _VALIDATION_SHARE = 6, 6
_SIGNS = frozenset(",.?")
_FEWEST_WORDS = 3


class AlignedPair(NamedTuple):
    """A generated sentence pair.

    Attributes:
        source, target: the sentences as text.
        source_words, target_words: their words and signs.
        alignment: all pairs (source word, target word) that express the same thing, ascending.
    """

    source: str
    target: str
    source_words: tuple[str, ...]
    target_words: tuple[str, ...]
    alignment: tuple[tuple[int, int], ...]


def embedded_corpus(
    source: str = "de", target: str = "en", *, size: int, split: Split = "train", seed: int = 0, max_words: int = 60
) -> list[AlignedPair]:
    """Generate ``size`` different sentence pairs, no sentence shorter than three words.

    The sentences themselves decide the split (by a checksum of the target sentence), so the splits are disjoint
    whatever their sizes and seeds. The same arguments give the same corpus.

    Args:
        source, target: languages, each a key of `LANGUAGES`.
        size: the number of pairs.
        split: "train", "validation" or "test".
        seed: of the random meanings.
        max_words: the most words and signs of either sentence.

    Raises:
        InputError: a language is not known.
    """
    return list(islice(_pairs(_language(source), _language(target), split, seed, max_words), size))


def _pairs(source: Language, target: Language, split: Split, seed: int, max_words: int) -> Iterator[AlignedPair]:
    sampler = MeaningSampler(seed)
    seen: set[str] = set()
    while True:
        sentence = sampler.sentence()
        target_words = target(sentence)
        target_text = to_text(target_words)
        if not _fits(target_words, max_words) or _split(target_text) != split:
            continue
        source_words = source(sentence)
        source_text = to_text(source_words)
        if not _fits(source_words, max_words) or source_text in seen:
            continue
        seen.add(source_text)
        yield AlignedPair(
            source_text,
            target_text,
            tuple(word.text for word in source_words),
            tuple(word.text for word in target_words),
            align(source_words, target_words),
        )


def _fits(words: Sequence[Word], most: int) -> bool:
    return len(words) <= most and sum(word.text not in _SIGNS for word in words) >= _FEWEST_WORDS


def _split(text: str) -> Split:
    place = zlib.crc32(text.encode("utf-8")) % 100
    if place < _TEST_SHARE:
        return "test"
    return "validation" if place < _TEST_SHARE + _VALIDATION_SHARE else "train"


def _language(code: str) -> Language:
    if code not in LANGUAGES:
        raise InputError(f"the embedded corpus has no language {code!r}; it has {', '.join(sorted(LANGUAGES))}")
    return cast(Language, import_module(f".{LANGUAGES[code]}", __package__).linearize)
