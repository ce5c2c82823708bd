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
        patience: From 0 to 1, how long a beam search goes on for a better score: 0 until no beam has one at its length
            so far, 1 until none could reach one up to the longest translation.
        no_repeat_ngram: No sequence of this many pieces may come twice in a translation; 0 allows it.
        replace_unknown: Put in place of an unknown piece the piece of the source that it attends to most.
        sample: Draw translations at random instead of searching the most probable; n_best of them. Restrictions hold;
            beam_size and penalties do not matter.
        temperature: Divides the logarithms of the probabilities that are drawn from.
        top_k: Draw among so many of the most probable pieces; 0 takes all.
        top_p: Draw among the most probable pieces that together have at least this probability.
        seed: Of the random numbers; with the number of a line they decide its translations, whatever is beside it.
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
    patience: float = 0.0
    no_repeat_ngram: int = 0
    replace_unknown: bool = False
    sample: bool = False
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 1
    graphs: bool = True
    max_source_length: int = 5000

    def __post_init__(self) -> None:
        least = {
            "beam_size": 1, "length_penalty": 0, "batch_tokens": 1, "length_ratio": 0, "min_length": 0,
            "max_length": 1, "coverage_penalty": 0, "no_repeat_ngram": 0, "max_source_length": 1,
            "patience": 0, "top_k": 0, "seed": 0,
        }  # fmt: skip
        most = {"patience": 1, "top_p": 1}
        check_ranges("search", self, at_least=least, at_most=most, above_zero=["temperature", "top_p"])
        if self.max_length is not None and self.max_length < self.min_length:
            raise InputError(
                f"search.max_length must be at least search.min_length, {self.min_length}; got {self.max_length}"
            )

    @property
    def limits(self) -> SearchLimits:
        """The lengths, as the searches take them."""
        return SearchLimits(self.length_ratio, shortest=self.min_length, longest=self.max_length)
