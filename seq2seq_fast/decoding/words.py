"""From the attention of pieces to that of words, and to links between words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from seq2seq_fast.data.scripts import UNSPACED, stands_apart
from seq2seq_fast.data.word_pattern import word_pattern
from seq2seq_fast.decoding.given import PieceAttention

WordKind = Literal["spaces", "signs", "characters"]
Merge = Literal["mean", "max"]
_UNKNOWN = "<unk>"
_WORDS: dict[str, Any] = {
    "spaces": re.compile(r"▁?[^▁]+"),
    "signs": word_pattern(unknown=_UNKNOWN),
    "characters": word_pattern(unknown=_UNKNOWN, apart=UNSPACED),
}


class WordAttention(NamedTuple):
    """The attention of a pair's words.

    Attributes:
        source, target: the words.
        weights: [len(target), len(source) + 1]; the last column is of the source's end.
    """

    source: list[str]
    target: list[str]
    weights: Tensor


def attention_of_words(
    attention: PieceAttention, words: WordKind | tuple[WordKind, WordKind] = "spaces", merge: Merge = "mean"
) -> WordAttention:
    """Merge the pieces of each word.

    Args:
        attention: of pieces.
        words: "spaces" ends words at spaces alone; "signs" also makes each sign, such as a full stop, a word;
            "characters" does the same, and also makes each letter a word that is of a script without spaces between
            words. Two of them are of source and target.
        merge: "mean" adds the weights of a source word's pieces and averages over a target word's, so that rows still
            sum to 1; "max" takes the largest of both.
    """
    of_source, of_target = (words, words) if isinstance(words, str) else words
    source, source_pieces = _group(attention.source, of_source)
    target, target_pieces = _group(attention.target, of_target)
    if not target:
        return WordAttention(source, target, torch.zeros(0, len(source) + 1))
    source_pieces.append([len(attention.source)])
    columns = [attention.weights[:, places] for places in source_pieces]
    by_word = torch.stack([part.sum(1) if merge == "mean" else part.amax(1) for part in columns], dim=1)
    rows = [by_word[places] for places in target_pieces]
    weights = torch.stack([part.mean(0) if merge == "mean" else part.amax(0) for part in rows])
    return WordAttention(source, target, weights)


def kinds_of(
    attentions: Sequence[PieceAttention], words: Literal["auto", "spaces", "signs"]
) -> tuple[WordKind, WordKind]:
    """Return what the words of all sources and of all targets are.

    Args:
        attentions: of pieces.
        words: "auto" ends words at spaces, "signs" at signs too; both take characters on a side whose script has no
            spaces between words, where nobody has put them in.
    """

    def of(side: Literal["source", "target"]) -> WordKind:
        lines = ["".join(getattr(one, side)).replace("▁", " ") for one in attentions]
        if words == "spaces" or stands_apart(lines):
            return "signs" if words == "signs" else "spaces"
        return "characters"

    return of("source"), of("target")


def links(attention: WordAttention, threshold: float | None = None) -> tuple[tuple[int, int], ...]:
    """Link each target word with the source word that it attends to most, or with none where that is the end.

    Args:
        attention: of words.
        threshold: also link all source words with at least this weight.

    Returns:
        the pairs (source word, target word), ascending.
    """
    found: set[tuple[int, int]] = set()
    if attention.target:
        best = attention.weights.argmax(1).tolist()
        found = {(source, target) for target, source in enumerate(best) if source < len(attention.source)}
        if threshold is not None:
            above = (attention.weights[:, :-1] >= threshold).nonzero().tolist()
            found |= {(source, target) for target, source in above}
    return tuple(sorted(found))


def _group(pieces: Sequence[str], words: WordKind) -> tuple[list[str], list[list[int]]]:
    """Return the words that pieces spell, and the places of each one's pieces; a piece may belong to two words."""
    pieces = [f"▁{_UNKNOWN}" if piece == _UNKNOWN else piece for piece in pieces]
    ends = list(accumulate(map(len, pieces)))
    found = list(_WORDS[words].finditer("".join(pieces)))
    places, first = [], 0
    for word in found:
        while ends[first] <= word.start():
            first += 1
        behind = first
        while behind < len(pieces) and ends[behind] - len(pieces[behind]) < word.end():
            behind += 1
        places.append(list(range(first, behind)))
    return [word[0].removeprefix("▁") for word in found], places
