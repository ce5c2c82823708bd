"""Sentence pairs as piece numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch.utils.data import Dataset

from seq2seq_fast.data.pharaoh import Links
from seq2seq_fast.data.text import SentencePair
from seq2seq_fast.data.vocabulary import Vocabulary
from seq2seq_fast.data.word_alignment import WordAlignments


class EncodedPair(NamedTuple):
    """A pair as piece numbers, ready for `Collate`.

    The source ends with the end-of-sentence piece; the target begins with the begin and ends with the end piece.
    ``number`` is the pair's place in the text that it comes from. ``links`` are (source piece, target piece), counted
    without the begin piece; None where no alignment is known.
    """

    source: list[int]
    target: list[int]
    number: int
    links: Links | None = None


class PairDataset(Dataset[EncodedPair]):
    """Encoded sentence pairs in memory.

    Args:
        pairs: the pairs as text.
        source_vocabulary, target_vocabulary: the two sides' vocabularies, the same object for a joint one.
        max_length: leave out pairs with an empty side or with more pieces than this on either side (begin and end
            not counted); None keeps every pair.
        alignments: of the pairs' words, for those who want links of their pieces.

    Attributes:
        lengths: the number of pieces of each pair's source and target, with begin and end pieces.
        left_out: how many pairs the filter has left out.
        not_linked: how many pairs that are kept have an alignment that does not fit their pieces.
    """

    def __init__(
        self,
        pairs: Sequence[SentencePair],
        source_vocabulary: Vocabulary,
        target_vocabulary: Vocabulary,
        *,
        max_length: int | None = None,
        alignments: WordAlignments | None = None,
    ) -> None:
        self._encoded: list[EncodedPair] = []
        for number, pair in enumerate(pairs):
            source, target = source_vocabulary.encode(pair.source), target_vocabulary.encode(pair.target)
            if max_length is not None and not (0 < len(source) <= max_length and 0 < len(target) <= max_length):
                continue
            target = [target_vocabulary.bos_id, *target, target_vocabulary.eos_id]
            links = None
            if alignments is not None:
                links = alignments.of_pieces(number, pair, source_vocabulary, target_vocabulary)
            self._encoded.append(EncodedPair([*source, source_vocabulary.eos_id], target, number, links))
        self.lengths = [(len(pair.source), len(pair.target)) for pair in self._encoded]
        self.left_out = len(pairs) - len(self._encoded)
        self.not_linked = 0 if alignments is None else sum(pair.links is None for pair in self._encoded)

    def __len__(self) -> int:
        return len(self._encoded)

    def __getitem__(self, index: int) -> EncodedPair:
        return self._encoded[index]
