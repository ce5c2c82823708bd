"""How translations are searched."""

from __future__ import annotations

from dataclasses import dataclass

from seq2seq_fast.data import InputError, check_ranges
from seq2seq_fast.decoding.hypothesis import SearchLimits


@dataclass
class SearchConfig:
    """How translations are searched.

    Args:
        beam_size: Beginnings of a translation that are kept side by side; 1 is greedy search.
        length_penalty: Exponent of the length penalty; 0 compares bare probabilities, which favours short translations.
        batch_tokens: The most source tokens, padding and beams included, that are translated together.
        length_ratio: A translation has at most this many pieces for each piece of the source, and ten more.
        min_length: The fewest pieces of a translation.
        max_length: The most pieces of a translation, however long its source.
        coverage_penalty: Factor on the logarithms of what attention has left out of the source (Wu et al. 2016); 0 does
            without. Greedy search has nothing to compare and leaves it.
        no_repeat_ngram: No sequence of this many pieces may come twice in a translation; 0 allows it.
        replace_unknown: Put in place of an unknown piece the piece of the source that it attends to most.
        graphs: On a GPU, replay the decoder's steps from CUDA graphs.
        max_source_length: The most pieces of a source: the time for one grows with its square.
    """

    beam_size: int = 5
    length_penalty: float = 1.0
    batch_tokens: int = 8000
    length_ratio: float = 2.0
    min_length: int = 0
    max_length: int | None = None
    coverage_penalty: float = 0.0
    no_repeat_ngram: int = 0
    replace_unknown: bool = False
    graphs: bool = True
    max_source_length: int = 5000

    def __post_init__(self) -> None:
        least = {
            "beam_size": 1, "length_penalty": 0, "batch_tokens": 1, "length_ratio": 0, "min_length": 0,
            "max_length": 1, "coverage_penalty": 0, "no_repeat_ngram": 0, "max_source_length": 1,
        }  # fmt: skip
        check_ranges("search", self, at_least=least)
        if self.max_length is not None and self.max_length < self.min_length:
            raise InputError(
                f"search.max_length must be at least search.min_length, {self.min_length}; got {self.max_length}"
            )

    @property
    def limits(self) -> SearchLimits:
        """The lengths, as the searches take them."""
        return SearchLimits(self.length_ratio, shortest=self.min_length, longest=self.max_length)
