"""The sizes that are counted: of training, Multi30k's and the paper's."""

from __future__ import annotations

from typing import NamedTuple

# B, Tq, Tx, A, D.
ATTENTION = {"one query": (64, 1, 50, 512, 1024), "many queries": (8, 50, 50, 512, 1024)}
# Of the cells, and of the decoders whose cells are counted alone.
BATCH, HIDDEN = 64, 512
POSITIONS, UNITS, SIZE, EMBEDDING = 50, 512, 1024, 512
GATES = {"rnn": 1, "gru": 3, "lstm": 4}


class DecoderSizes(NamedTuple):
    """B, Ty, Tx, embedding, A, H, D."""

    batch: int
    target: int
    positions: int
    embedding: int
    units: int
    hidden: int
    size: int


DECODER = {
    "paper": DecoderSizes(80, 50, 50, 620, 1000, 1000, 2000),
    "Multi30k": DecoderSizes(128, 20, 20, 256, 320, 320, 640),
}
