"""The decoder at sizes that one launch takes: multiples of 8 in what attends and in what the state holds."""

from __future__ import annotations

from collections.abc import Sequence

from seq2seq_fast.cases.attention_decoder import AttentionDecoder
from seq2seq_fast.cases.operator import Case, Options


class DecoderInOneLaunch(AttentionDecoder):
    """One form of the decoder.

    Its cases have one source and more than a product takes at once, one position and more than a warp reads at once,
    fewer units than there are multiprocessors to share them and more, rows that end inside a tile.
    """

    def __init__(self, form: Options):
        self.form = form

    def cases(self, quick: bool) -> Sequence[Case]:
        shapes = [(1, 1, 1, 1, 8, 8, 1), (3, 4, 9, 6, 24, 16, 10)]
        if not quick:
            shapes += [(17, 3, 33, 5, 72, 40, 12), (5, 7, 1, 3, 104, 136, 9), (37, 5, 50, 33, 264, 256, 65)]
        return [self.case(shape, self.form, masked=shape[0] > 1) for shape in shapes]

    def degenerate(self) -> Case:
        return self.case((5, 3, 6, 5, 16, 8, 9), self.form, masked=True)

    def graphed(self) -> Sequence[Case]:
        return [self.degenerate()]
