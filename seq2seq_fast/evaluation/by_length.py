"""BLEU by the length of the source, as in figure 2 of Bahdanau, Cho and Bengio (2014)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from seq2seq_fast.evaluation.references import References, several
from seq2seq_fast.evaluation.scores import score
from seq2seq_fast.evaluation.tokenizers import choose_tokenizer, word_counter


class LengthScore(NamedTuple):
    """BLEU of the sentences with ``shortest`` to ``longest`` source words, and how many they are."""

    shortest: int
    longest: int
    sentences: int
    bleu: float


def bleu_by_length(
    sources: Sequence[str],
    hypotheses: Sequence[str],
    references: References,
    *,
    width: int = 10,
    tokenize: str = "auto",
) -> list[LengthScore]:
    """Score groups of sentences by their source words: 1 to width, width + 1 to 2 width, and so on.

    Words stand between spaces; where the sources have none between words, tokens are counted, see `choose_tokenizer`.

    Args:
        sources, hypotheses: text, sentence by sentence; empty sources belong to no group.
        references: as in `score`.
        width: lengths in a group, at least 1.
        tokenize: as in `score`, the same for all groups.

    Returns:
        groups that have sentences, shortest first.
    """
    sets = several(references)
    count, tokenizer = word_counter(sources), choose_tokenizer([line for one in sets for line in one], tokenize)
    groups: dict[int, list[int]] = {}
    for place, source in enumerate(sources):
        words = count(source)
        if words:
            groups.setdefault((words - 1) // width, []).append(place)
    return [
        LengthScore(
            group * width + 1,
            (group + 1) * width,
            len(places),
            score(
                [hypotheses[place] for place in places],
                [[one[place] for place in places] for one in sets],
                tokenizer,
            ).bleu,
        )
        for group, places in sorted(groups.items())
    ]


def length_table(scores: dict[str, list[LengthScore]]) -> str:
    """Return a table: a row for each group of lengths, a column for each model."""
    names = list(scores)
    widths = [max(6, len(name)) for name in names]
    heads = [f"{name:>{width}}" for name, width in zip(names, widths, strict=True)]
    rows = ["  ".join([f"{'source words':>12}", f"{'sentences':>9}", *heads])]
    for groups in zip(*scores.values(), strict=True):
        lengths = f"{groups[0].shortest}-{groups[0].longest}"
        figures = [f"{one.bleu:>{width}.2f}" for one, width in zip(groups, widths, strict=True)]
        rows.append("  ".join([f"{lengths:>12}", f"{groups[0].sentences:>9,}", *figures]))
    return "\n".join(rows)
