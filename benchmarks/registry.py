"""The one list of workloads."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from benchmarks.workload import Workload
from benchmarks.workloads import attention, cells, decoder, encoder, model

WORKLOADS: tuple[Workload, ...] = (
    *attention.WORKLOADS,
    *cells.WORKLOADS,
    *decoder.WORKLOADS,
    *encoder.WORKLOADS,
    *model.WORKLOADS,
)


def select(globs: Sequence[str] = (), quick: bool = False) -> list[Workload]:
    """The workloads whose names match a glob (``attend`` takes in ``attend/*``); with ``quick`` the quick ones of them.

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
        if (not globs or any(_matches(workload, glob) for glob in globs)) and (workload.quick or not quick)
    ]


def _matches(workload: Workload, glob: str) -> bool:
    return fnmatchcase(workload.name, glob) or fnmatchcase(workload.name, f"{glob}/*")
