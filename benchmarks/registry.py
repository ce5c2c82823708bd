"""The one list of workloads: those whose figures are kept, and every operator at every place's sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from benchmarks.workload import Items, Workload
from benchmarks.workloads.encoder import EncoderLayer
from benchmarks.workloads.model import TrainingStep, Translation
from seq2seq_fast.cases import BY_NAME, Case
from seq2seq_fast.cases.sizes import PLACES

SOURCE_LENGTHS = (10, 20, 50, 100, 200, 500, 1000)
_STEP = {"batch": 80, "source": 50, "units": 1024}
_MANY = {"batch": 32, "queries": 50, "source": 50, "units": 1024, "values": 1024}
_GATES = {"batch": 80, "hidden": 1024}
_CELL = {"batch": 80, "embedding": 512, "hidden": 1024}
_HIDDEN_512 = {"hidden": 512, "units": 512, "embedding": 256, "values": 1024}
_LONG = {"batch": 64, "source": 50, "target": 50, **_HIDDEN_512}
_SHORT = {"batch": 80, "source": 15, "target": 15, **_HIDDEN_512}
_BEAMS = {"batch": 64, "beams": 5, "source": 15, **_HIDDEN_512}
_SWEEP = {"batch": 16, "target": 20, "hidden": 256, "units": 256, "embedding": 128, "values": 512}
_ENCODER = {"batch": 80, "source": 15, "embedding": 256, "hidden": 512}
_MULTI30K = {"batch": 80, "source": 15, "target": 15, "vocabulary": 8000, "embedding": 256, "hidden": 512}
_GRU = {"cell": "gru", "reset_after": True, "need_weights": False}
_LSTM = {"cell": "lstm", "need_weights": False}


def _kept(name: str, sizes: Mapping[str, int], quick: bool = False, **options: Any) -> Workload:
    """``operator/sizes``, in the operator's usual form unless options name another."""
    operator = BY_NAME[name.partition("/")[0]]
    return Workload(name, operator, Case(sizes, options or operator.forms[0]), quick=quick)


WORKLOADS: tuple[Workload, ...] = (
    _kept("additive_score/80x50x1024", _STEP, quick=True),
    _kept("attend/80x50x1024x2048", {**_STEP, "values": 2048}, quick=True),
    _kept("additive_attention/32x50x50x1024", _MANY),
    _kept("additive_attention/32x50x50x1024/no_weights", _MANY, quick=True, need_weights=False),
    _kept("attention_memory/80x50x1024x2048", {**_STEP, "values": 2048}),
    _kept("gru_gates/80x1024", _GATES, quick=True),
    _kept("lstm_gates/80x1024", _GATES, quick=True),
    _kept("gru_cell/80x512x1024", _CELL),
    _kept("gru_cell/80x512x1024/reset_before", _CELL, reset_after=False),
    _kept("lstm_cell/80x512x1024", _CELL),
    _kept("attention_decoder/64x50x50", _LONG, **_GRU),
    _kept("attention_decoder/80x15x15", _SHORT, quick=True, **_GRU),
    _kept("attention_decoder/80x15x15/lstm", _SHORT, **_LSTM),
    _kept("attention_decoder_step/64x5x15", _BEAMS, quick=True, **_GRU),
    *(
        Workload(f"source_length/{length}", BY_NAME["attention_decoder"], Case({**_SWEEP, "source": length}, _GRU))
        for length in SOURCE_LENGTHS
    ),
    *(Workload(f"encoder/80x15/{cell}", EncoderLayer(), Case(_ENCODER, {"cell": cell})) for cell in ("gru", "lstm")),
    Workload(
        "training_step/multi30k", TrainingStep(), Case(_MULTI30K), quick=True,
        items=Items("tokens", lambda sizes: sizes["batch"] * sizes["target"]),
    ),
    Workload(
        "translation/beam5", Translation(), Case({**_MULTI30K, "batch": 64, "beams": 5}),
        items=Items("sentences", lambda sizes: sizes["batch"]),
    ),
    *(
        Workload(f"{operator.name}/{place}", operator, operator.at(place), kept=False)
        for operator in BY_NAME.values()
        for place in PLACES
    ),
)  # fmt: skip


def select(globs: Sequence[str] = (), quick: bool = False) -> list[Workload]:
    """The workloads whose names match a glob (``attend`` takes in ``attend/*``), or else those whose figures are kept.

    With ``quick`` the quick ones of them. What is not kept runs where its whole name is given, ``*/gnmt``.

    Raises:
        ValueError: a glob matches nothing.
    """
    for glob in globs:
        if not any(_matches(workload, glob) for workload in WORKLOADS):
            names = "\n  ".join(workload.name for workload in WORKLOADS)
            raise ValueError(f"no workload matches {glob!r}; there are\n  {names}")
    return [
        workload
        for workload in WORKLOADS
        if (workload.kept if not globs else any(_matches(workload, glob) for glob in globs))
        and (workload.quick or not quick)
    ]


def _matches(workload: Workload, glob: str) -> bool:
    return fnmatchcase(workload.name, glob) or (workload.kept and fnmatchcase(workload.name, f"{glob}/*"))
