"""The sizes that are counted: of training, Multi30k's and the paper's."""

from __future__ import annotations

from typing import NamedTuple

from seq2seq_fast.cases.sizes import PLACES

# B, Tq, Tx, A, D.
ATTENTION = {
    "one query": (64, 1, 50, 512, 1024),
    "one query of 1,000 units": (80, 1, 50, 1000, 2000),
    "many queries": (8, 50, 50, 512, 1024),
}
# Of the cells, and of the decoders whose cells are counted alone.
BATCH, HIDDEN = 64, 512
POSITIONS, UNITS, SIZE, EMBEDDING = 50, 512, 1024, 512


class DecoderSizes(NamedTuple):
    """B, Ty, Tx, embedding, A, H, D."""

    batch: int
    target: int
    positions: int
    embedding: int
    units: int
    hidden: int
    size: int


def _of(place: str) -> DecoderSizes:
    names = ("batch", "target", "source", "embedding", "units", "hidden", "values")
    return DecoderSizes(*(PLACES[place].sizes[name] for name in names))


DECODER = {"paper": _of("paper"), "Multi30k": _of("multi30k")}
