"""What every vocabulary offers: text to piece numbers and back, and a file that holds it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from seq2seq_fast.data.files import whole_file


class Vocabulary(ABC):
    """A mapping from text to piece numbers, 0 to ``len(vocabulary) - 1``.

    Attributes:
        pad_id, unknown_id, bos_id, eos_id: the numbers of padding, of pieces not in the vocabulary, of the begin and
            of the end of a sentence.
        suffix: the ending of the file that `save` writes.
    """

    pad_id: int
    unknown_id: int
    bos_id: int
    eos_id: int
    suffix: ClassVar[str]

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of pieces, the special ones included."""

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """Return the numbers of the text's pieces, without begin and end of sentence."""

    @abstractmethod
    def segment(self, text: str) -> list[str]:
        """Return the text of each piece that `encode` gives, ``▁`` for a space before it; unknown ones keep theirs."""

    @abstractmethod
    def decode(self, ids: Sequence[int], unknown: Sequence[str] | None = None) -> str:
        """Return the text of piece numbers; padding, begin and end of sentence give nothing.

        Args:
            ids: the numbers.
            unknown: for each unknown piece among them, in order, the text to put in its place, as `segment` writes it.
        """

    @abstractmethod
    def pieces(self, ids: Sequence[int]) -> list[str]:
        """Return each piece as it is written, ``▁`` standing for the space before a word."""

    @abstractmethod
    def serialized(self) -> bytes:
        """Return the bytes of the vocabulary's file."""

    def save(self, stem: str | Path) -> Path:
        """Write the vocabulary to ``stem`` with its own suffix added, and return the path."""
        path = Path(f"{stem}{self.suffix}")
        with whole_file(path) as partial:
            partial.write_bytes(self.serialized())
        return path
