"""Sentences that are longer than a search takes: refused, cut, split at their sentence ends, or skipped."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Literal

import regex
import torch

from seq2seq_fast.data import Vocabulary
from seq2seq_fast.data.scripts import join_sentences
from seq2seq_fast.decoding.sentence_lengths import SentenceError, check_lengths
from seq2seq_fast.decoding.translator import EMPTY, Translation, Translator
from seq2seq_fast.progress import tell

Long = Literal["refuse", "cut", "split", "skip"]
# Behind a full stop of any script and what may close a sentence after it, at a space where the script has spaces.
_END = regex.compile(
    r"(?<=\p{Sentence_Terminal}[\p{Pe}\p{Pf}\"'\u2019]*)\s+|(?<=[\u3002\uff01\uff1f\uff61][\p{Pe}\p{Pf}]*)"
)
_SPACE = regex.compile(r"\s+")


def search_each(
    translator: Translator,
    sentences: Sequence[str],
    config: Any,
    long: Long,
    *,
    prefixes: Sequence[str] | None = None,
    origin: tuple[str, int] = ("sentence", 1),
    **options: Any,
) -> Iterator[list[Translation]]:
    """Yield what `Translator.search` returns for each sentence, and do with those that are too long as asked.

    Whatever stops it, the sentences before have been yielded. What is done with a long one is told on standard error.

    Args:
        translator, sentences, config, prefixes, origin, options: as in `Translator.search`.
        long: "refuse" raises its error; "cut" translates its first pieces; "split" its parts, one after another; "skip"
            leaves its translation empty.

    Raises:
        InputError: as `Translator.search`.
    """
    begins = list(prefixes) if prefixes else [""] * len(sentences)

    def alone(place: int) -> list[Translation]:
        number = origin[1] + place
        return _long(translator, sentences[place], begins[place], config, long, (origin[0], number), options)

    begin = 0
    for place in (*_too_long(translator.source_vocabulary, sentences, config.max_source_length), len(sentences)):
        while begin < place:
            given: dict[str, Any] = {"prefixes": begins[begin:place], "origin": (origin[0], origin[1] + begin)}
            stopped = None
            try:
                yield from translator.search(sentences[begin:place], config, **given, **options)
                break
            except SentenceError as error:
                stopped = error
            behind = begin + stopped.place
            if stopped.place:
                given["prefixes"] = begins[begin:behind]
                yield from translator.search(sentences[begin:behind], config, **given, **options)
            if long == "refuse" or not stopped.too_long:
                raise stopped
            yield _long(
                translator, sentences[behind], begins[behind], config, long, (origin[0], origin[1] + behind), options
            )
            begin = behind + 1
        if place < len(sentences):
            yield _long(
                translator, sentences[place], begins[place], config, long, (origin[0], origin[1] + place), options
            )
        begin = place + 1


def _too_long(vocabulary: Vocabulary, sentences: Sequence[str], most: int) -> Iterator[int]:
    for place, sentence in enumerate(sentences):
        # Unicode's compatibility form has up to 18 characters for one; most sentences need not be cut for this.
        if 20 * len(sentence) > most and len(vocabulary.encode(sentence)) > most:
            yield place


def _long(
    translator: Translator,
    sentence: str,
    prefix: str,
    config: Any,
    long: Long,
    origin: tuple[str, int],
    options: dict[str, Any],
) -> list[Translation]:
    """The translations of one sentence that is too long."""
    told = options.get("told") or (lambda count: None)
    pieces, most = len(translator.source_vocabulary.encode(sentence)), config.max_source_length
    name = f"seq2seq-fast: warning: {origin[0]} {origin[1]:,} is too long, with {pieces:,} pieces"
    if long == "refuse":
        check_lengths([range(pieces)], most, origin)
    if long == "skip":
        tell(f"{name}: its translation is left empty")
        told(1)
        return [EMPTY]
    while True:
        parts = list(islice(split(sentence, translator.source_vocabulary, most, long), 1 if long == "cut" else None))
        given = {"prefixes": [prefix, *[""] * (len(parts) - 1)], "origin": origin, "told": None}
        try:
            found = translator.search(parts, config, **options | given)
            break
        except SentenceError as error:  # the memory is too small for so much of it
            if not error.too_long or most == 1:
                raise
        most = max(1, min(most, pieces) // 2)
    tell(f"{name}: it is {f'cut behind {len(parts[0]):,} letters' if long == 'cut' else f'split into {len(parts):,}'}")
    told(1)
    return [_joined(ranked) for ranked in zip(*found, strict=False)]


def _joined(parts: Sequence[Translation]) -> Translation:
    """The translations of a sentence's parts as one; each attends to its own part alone."""
    attended = [part.weights for part in parts if part.weights is not None]
    return parts[0]._replace(
        text=join_sentences(part.text for part in parts),
        score=sum(part.score for part in parts),
        log_probability=sum(part.log_probability for part in parts),
        source_pieces=[piece for part in parts for piece in part.source_pieces],
        target_pieces=[piece for part in parts for piece in part.target_pieces],
        weights=torch.block_diag(*attended) if len(attended) == len(parts) else None,
    )


def split(text: str, vocabulary: Vocabulary, most: int, how: Long = "split") -> Iterator[str]:
    """Yield a text in parts of at most ``most`` pieces: as many whole sentences as fit, or words, or letters.

    With "cut" as many words as fit, wherever sentences end.
    """
    rest = text.strip()
    while rest:
        fits = _fitting(rest, vocabulary, most)
        if fits < len(rest):
            end = _last(_END, rest, fits) if how == "split" else 0
            fits = end or _last(_SPACE, rest, fits) or _before_marks(rest, fits)
        yield rest[:fits].strip()
        rest = rest[fits:].strip()


def _fitting(text: str, vocabulary: Vocabulary, most: int) -> int:
    """About how many characters have at most so many pieces, at least one."""
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        # No more than twice what is known to fit is cut into pieces at a time.
        middle = min(middle, max(2 * low, most))
        if len(vocabulary.encode(text[:middle])) <= most:
            low = middle
        else:
            high = middle - 1
    return low


def _last(pattern: Any, text: str, behind: int) -> int:
    """Where the last match begins, not beyond so many of the text's characters; 0 where there is none."""
    return max((match.start() for match in pattern.finditer(text, 0, behind + 1) if match.start() <= behind), default=0)


def _before_marks(text: str, place: int) -> int:
    """Where to cut so that no mark stands apart from its letter."""
    cut = place
    while cut > 1 and (unicodedata.category(text[cut])[0] == "M" or "\u200d" in text[cut - 1 : cut + 1]):
        cut -= 1
    return cut if cut > 1 or place == 1 else place
