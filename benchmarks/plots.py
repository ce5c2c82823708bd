"""The pictures that the README shows, drawn from the rows of a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from benchmarks.results import Row

COLORS = {"eager": "#999999", "compile": "#E69F00", "cudagraph": "#56B4E9", "reference": "#CC79A7"}
OURS = ("#0072B2", "#009E73", "#D55E00")


def draw(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Draw speed.svg, and source_length.svg where lengths were measured; the paths that were written."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams.update({"svg.hashsalt": "seq2seq_fast", "font.size": 9})
    matplotlib.rcParams.update({"axes.spines.right": False, "axes.spines.top": False})
    rows = [row for row in rows if row.dtype == "float32"]
    drawn = []
    for name, picture in (("speed.svg", _speed), ("source_length.svg", _source_length)):
        figure = picture(rows)
        if figure is not None:
            drawn.append(folder / name)
            figure.savefig(drawn[-1], metadata={"Date": None}, bbox_inches="tight")
    return drawn


def _color(name: str, rows: Sequence[Row]) -> str:
    ours = [other for other in dict.fromkeys(row.backend for row in rows) if other not in COLORS]
    return COLORS[name] if name in COLORS else OURS[ours.index(name) % len(OURS)]


def _speed(rows: Sequence[Row]):
    """Bars: how many times as fast as eager, a group for each workload."""
    from matplotlib.figure import Figure

    rows = [row for row in rows if not row.workload.startswith("source_length/")]
    workloads = list(dict.fromkeys(row.workload for row in rows))
    last = {workload: [row for row in rows if row.workload == workload][-1].passed for workload in workloads}
    median = {(row.workload, row.backend): row.median_ms for row in rows if row.passed == last[row.workload]}
    names = [name for name in dict.fromkeys(row.backend for row in rows) if name != "eager"]
    workloads = [workload for workload in workloads if (workload, "eager") in median]
    if not workloads or not names:
        return None
    figure = Figure(figsize=(8, 1 + 0.22 * len(workloads) * (len(names) + 0.6)))
    axes = figure.subplots()
    height = 0.8 / len(names)
    for place, name in enumerate(names):
        groups = [group for group, workload in enumerate(workloads) if (workload, name) in median]
        speeds = [median[workloads[group], "eager"] / median[workloads[group], name] for group in groups]
        heights = [group + (place - (len(names) - 1) / 2) * height for group in groups]
        axes.barh(heights, speeds, height, color=_color(name, rows), label=name)
        for y, speed in zip(heights, speeds, strict=True):
            axes.annotate(f" {speed:.1f}x", (speed, y), va="center", fontsize=7)
    axes.axvline(1.0, color=COLORS["eager"], linewidth=1)
    labels = [workload + (" (forward)" if last[workload] == "forward" else "") for workload in workloads]
    axes.set_yticks(range(len(workloads)), labels)
    axes.invert_yaxis()
    axes.set_xlabel("times as fast as eager PyTorch, forward and backward")
    axes.legend(loc="lower right", frameon=False)
    return figure


def _source_length(rows: Sequence[Row]):
    """Time and memory of the decoder, forward and backward, against the length of the source."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    rows = [row for row in rows if row.workload.startswith("source_length/") and row.passed == "both"]
    if not rows:
        return None
    figure = Figure(figsize=(8, 3))
    panels = figure.subplots(1, 2)
    for axes, field, label in zip(panels, ("median_ms", "peak_mib"), ("milliseconds", "peak MiB"), strict=True):
        for name in dict.fromkeys(row.backend for row in rows):
            points = sorted((int(r.workload.split("/")[1]), getattr(r, field)) for r in rows if r.backend == name)
            points = [(length, value) for length, value in points if not math.isnan(value)]
            axes.plot(*zip(*points, strict=True), marker="o", markersize=3, color=_color(name, rows), label=name)
        axes.set(xscale="log", yscale="log", xlabel="source length", ylabel=label)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter(NullFormatter())
    panels[0].legend(frameon=False)
    figure.tight_layout()
    return figure
