"""Sentence pairs as piece numbers, in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from torch.utils.data import Dataset

from seq2seq_fast.data.base_vocabulary import Vocabulary
from seq2seq_fast.data.encoding import EMPTY, EncodedPair, encode_pairs
from seq2seq_fast.data.text import SentencePair
from seq2seq_fast.data.word_alignment import WordAlignments
from seq2seq_fast.progress import Progress

OTHER_TEXT = "of sentences whose text the vocabulary has changed"


class PairDataset(Dataset[EncodedPair]):
    """Encoded sentence pairs in memory.

    Args:
        pairs: the pairs as text.
        source_vocabulary, target_vocabulary: the two sides' vocabularies, the same object for a joint one.
        max_length: leave out pairs with an empty side or with more pieces than this on either side (begin and end
            not counted); None keeps every pair.
        alignments: of the pairs' words, for those who want links of their pieces.
        shown: counts the pairs.

    Attributes:
        lengths: the number of pieces of each pair's source and target, with begin and end pieces.
        left_out: how many pairs the filter has left out, by its reasons.
        not_linked: how many pairs that are kept have an alignment that says nothing of their pieces, by the reasons.
    """

    def __init__(
        self,
        pairs: Sequence[SentencePair],
        source_vocabulary: Vocabulary,
        target_vocabulary: Vocabulary,
        *,
        max_length: int | None = None,
        alignments: WordAlignments | None = None,
        shown: Progress | None = None,
    ) -> None:
        counted = pairs if shown is None else shown.over(pairs)
        self.left_out: Counter[str] = Counter()
        encoded = encode_pairs(
            counted, source_vocabulary, target_vocabulary, max_length, alignments=alignments, left_out=self.left_out
        )
        self._encoded = list(encoded)
        self.lengths = [(len(pair.source), len(pair.target)) for pair in self._encoded]
        self.not_linked: Counter[str] = Counter()
        for pair in self._encoded if alignments is not None else ():
            if not pair.links:
                self.not_linked[EMPTY if pair.links == () else OTHER_TEXT] += 1

    def __len__(self) -> int:
        return len(self._encoded)

    def __getitem__(self, index: int) -> EncodedPair:
        return self._encoded[index]
