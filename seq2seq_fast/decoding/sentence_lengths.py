"""How long a sentence may be, and the error of one that is longer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from seq2seq_fast.data import InputError


class SentenceError(InputError):
    """One of several sentences cannot be translated.

    Attributes:
        place: its place among them, from 0.
        too_long: whether a shorter one could be.
    """

    def __init__(self, message: str, place: int, *, too_long: bool) -> None:
        super().__init__(message)
        self.place, self.too_long = place, too_long


def check_lengths(encoded: Iterable[Sequence[int]], most: int, origin: tuple[str, int]) -> None:
    """Check that no sentence, in pieces, is longer than `SearchConfig.max_source_length`.

    Args:
        encoded: the sentences.
        most: the most pieces of one.
        origin: what the error calls them, and the number of the first.

    Raises:
        SentenceError: one is.
    """
    name, first = origin
    for place, ids in enumerate(encoded):
        if len(ids) > most:
            said = f"{name} {first + place:,} has {len(ids):,} pieces, more than search.max_source_length, {most:,}"
            raise SentenceError(f"{said}: split it, or raise that", place, too_long=True)
