"""Curves: BLEU by source length, and loss and BLEU of a training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.ticker import MaxNLocator

from seq2seq_fast.evaluation.by_length import LengthScore
from seq2seq_fast.visualization.fonts import families_for
from seq2seq_fast.visualization.picture import COLORS, VERBATIM, new_figure, plain, save, tidy, without_missing_signs

_STYLES = ("-", "--", "-.", ":")
Points = Sequence[tuple[int, float]]


def draw_bleu_by_length(scores: Mapping[str, Sequence[LengthScore]], path: str | Path) -> Path:
    """Draw BLEU against source length, a curve for each model, each group of lengths at its middle.

    Args:
        scores: groups of lengths by the model's name. Signs of one that no installed font has are named by a warning.
        path: the picture; its ending chooses the format (.png, .svg, .pdf).
    """
    figure = new_figure(4.4, 3.0, layout="constrained")
    axes = figure.add_subplot()
    for place, groups in enumerate(scores.values()):
        middles = [(group.shortest + group.longest) / 2 for group in groups]
        axes.plot(
            middles,
            [group.bleu for group in groups],
            color=COLORS[place % len(COLORS)],
            linestyle=_STYLES[place % len(_STYLES)],
            marker="o",
            markersize=4,
        )
    axes.set_xlabel("source length (words)")
    axes.set_ylabel("BLEU")
    axes.set_ylim(*_room([group.bleu for groups in scores.values() for group in groups]))
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _name(axes.legend(axes.lines, ["-"] * len(scores), frameon=False), list(scores))
    tidy(axes)
    with without_missing_signs():
        return save(figure, path)


def _name(legend: Any, names: Sequence[str]) -> None:
    """Write names beside the lines of a legend, which itself would leave out those that begin with a low line."""
    names = [plain(name) for name in names]
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.update({"text": name, "fontfamily": families_for(names), **VERBATIM})


def draw_training(curves: Mapping[str, Points], path: str | Path) -> Path:
    """Draw a training's loss and, beside it, its validation BLEU, against the optimizer's steps.

    Args:
        curves: points (step, value) of "train_loss", "validation_loss" and "validation_bleu"; those that are not finite
            are left out.
        path: the picture; its ending chooses the format (.png, .svg, .pdf).
    """
    figure = new_figure(7.2, 2.7, layout="constrained")
    panels = figure.subplots(1, 2, sharex=True)
    drawn = (
        (panels[0], "train_loss", "training", COLORS[0], None),
        (panels[0], "validation_loss", "validation", COLORS[1], "o"),
        (panels[1], "validation_bleu", "validation", COLORS[1], "o"),
    )
    for axes, name, label, color, marker in drawn:
        points = [(step, value) for step, value in curves.get(name, ()) if math.isfinite(value)]
        steps, values = zip(*points, strict=True) if points else ((), ())
        axes.plot(steps, values, label=label, color=color, marker=marker, markersize=3, linewidth=1.2)
    for axes, label in zip(panels, ("loss (nats a piece)", "BLEU (greedy)"), strict=True):
        axes.set_xlabel("step")
        axes.set_ylabel(label)
        axes.set_ylim(*_room([value for line in axes.lines for value in line.get_ydata()]))
        axes.ticklabel_format(axis="x", style="plain")
        tidy(axes)
    panels[0].legend(frameon=False)
    return save(figure, path)


def _room(values: Sequence[float]) -> tuple[float, float]:
    """The limits of an axis from 0 to a little above the values, so that no mark is cut off."""
    return 0.0, 1.06 * max(values, default=0.0) or 1.0
