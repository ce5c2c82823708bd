"""What a search returns, and how long what it returns may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor


class Hypothesis(NamedTuple):
    """One translation of one source.

    Attributes:
        tokens: the numbers of its pieces, without begin and end piece.
        log_probability: of all its pieces and, where it has ended by itself, the end piece.
        score: what the search has compared: the log probability over the length penalty, and the coverage penalty.
        weights: [len(tokens), Tx], the attention of each piece to the source (its end piece included); None where
            not asked for or where the model has no attention.
    """

    tokens: list[int]
    log_probability: float
    score: float
    weights: Tensor | None


@dataclass(frozen=True)
class SearchLimits:
    """How many pieces, the end piece not counted, the translation of a source may have.

    At most ``ratio * length + extra`` for a source of that length, and at most ``longest``: it ends by itself with less
    than that, or is cut there. At least ``shortest``. All of it depends on the sentence alone, so a batch gives what
    its sentences give one by one.
    """

    ratio: float = 2.0
    extra: int = 10
    shortest: int = 0
    longest: int | None = None

    def __post_init__(self) -> None:
        if self.longest is not None and not self.shortest <= self.longest:
            raise ValueError(f"longest must be at least shortest, {self.shortest}; got {self.longest}")

    def most(self, lengths: Tensor) -> Tensor:
        """Return int64 [B] for source lengths [B] (each at least 1, end piece included)."""
        # A ratio may be as large as a float can be; whoever asks for that many pieces means no limit.
        return ((self.ratio * lengths).clamp(max=2.0**32).long() + self.extra).clamp(
            min=self.shortest, max=self.longest
        )


def start(model: Any, source: Tensor, lengths: Tensor) -> Any:
    """Encode source tokens [B, Tx] and return the decoder's state before the first piece."""
    return model.start(model.encode(source, lengths))


def drop_worth_it(active: int, rows: int) -> bool:
    """Whether rows that are done should leave the batch now.

    Leaving copies the others' keys and values, so it waits until an eighth of the rows can go.
    """
    return rows - active >= max(1, rows // 8)
