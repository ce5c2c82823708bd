"""How well links between words agree with annotated ones (Och and Ney 2003, "A Systematic Comparison of Various
Statistical Alignment Models", section 6)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from seq2seq_fast.data.errors import InputError
from seq2seq_fast.data.pharaoh import GoldAlignment


@dataclass(frozen=True)
class AlignmentQuality:
    """Figures from 0 to 1 over a whole corpus; A are the found links, S the sure and P the possible ones.

    Attributes:
        error_rate: AER, 1 - (|A ∩ S| + |A ∩ P|) / (|A| + |S|).
        precision: |A ∩ P| / |A|.
        recall: |A ∩ S| / |S|.
    """

    error_rate: float
    precision: float
    recall: float

    def __str__(self) -> str:
        return f"AER {self.error_rate:.3f}, precision {self.precision:.3f}, recall {self.recall:.3f}"


def alignment_quality(found: Sequence[Collection[tuple[int, int]]], gold: Sequence[GoldAlignment]) -> AlignmentQuality:
    """Compare found links with annotated ones, sentence by sentence.

    Raises:
        InputError: they are not equally many, or hold no link to judge by.
    """
    if len(found) != len(gold):
        raise InputError(f"there are {len(found):,} alignments but {len(gold):,} annotated ones")
    links = sum(len(set(one)) for one in found)
    sure = sum(len(one.sure) for one in gold)
    if not links or not sure:
        raise InputError(f"there are {links:,} links and {sure:,} sure annotated ones: no error rate can be computed")
    in_sure = sum(len(set(one) & other.sure) for one, other in zip(found, gold, strict=True))
    in_possible = sum(len(set(one) & other.possible) for one, other in zip(found, gold, strict=True))
    return AlignmentQuality(1 - (in_sure + in_possible) / (links + sure), in_possible / links, in_sure / sure)
