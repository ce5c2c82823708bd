"""Sizes with a name, at which operators are timed and reported on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Place(NamedTuple):
    """A model of the literature or of this package: its sizes by name, and the cell of its decoder."""

    cell: str
    sizes: Mapping[str, int]


def _place(
    cell: str, *, batch: int, source: int, target: int, embedding: int, hidden: int, units: int, values: int
) -> Place:
    sizes = {
        "batch": batch, "queries": target, "beams": 5, "source": source, "target": target, "embedding": embedding,
        "hidden": hidden, "units": units, "values": values,
    }  # fmt: skip
    return Place(cell, sizes)


PLACES: dict[str, Place] = {
    # For a look that takes seconds.
    "small": _place("gru", batch=16, source=20, target=8, embedding=128, hidden=128, units=128, values=256),
    # configs/multi30k_de_en.yaml, in a batch of 128 sentences of 20 words.
    "multi30k": _place("gru", batch=128, source=20, target=20, embedding=256, hidden=320, units=320, values=640),
    # Bahdanau, Cho, Bengio 2014 (arXiv 1409.0473), appendix A and B.
    "paper": _place("gru", batch=80, source=50, target=50, embedding=620, hidden=1000, units=1000, values=2000),
    # Wu et al. 2016 (arXiv 1609.08144), section 8: 1024 nodes everywhere, batches of 128.
    "gnmt": _place("lstm", batch=128, source=30, target=30, embedding=1024, hidden=1024, units=1024, values=1024),
    # Shen et al. 2017 (arXiv 1712.05884), section 2.2: characters in, two frames of a spectrogram a step out.
    "tacotron2": _place("lstm", batch=64, source=120, target=200, embedding=256, hidden=1024, units=128, values=512),
}
