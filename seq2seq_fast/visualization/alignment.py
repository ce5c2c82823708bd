"""Alignment maps as in figure 3 of Bahdanau, Cho and Bengio (2014)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from seq2seq_fast.visualization.picture import VERBATIM, new_figure, plain, save, without_missing_signs

# Inches.
_CELL, _GAP, _MARGIN = 0.22, 0.3, 0.08


class Alignment(NamedTuple):
    """One sentence's map.

    Attributes:
        source, target: the words, Tx and Ty of them.
        weights: [Ty, Tx], from 0 to 1: how much of each source word the model attends to while it writes a target word.
    """

    source: Sequence[str]
    target: Sequence[str]
    weights: Tensor


def draw_alignments(alignments: Sequence[Alignment], path: str | Path, *, columns: int = 2) -> Path:
    """Draw sentences' alignment maps on one sheet: the source along the top, the target down the side, white for 1.

    Squares have the same size in all maps. Signs that no installed font has are named by a warning.

    Args:
        alignments: one map a sentence, at least one.
        path: the picture; its ending chooses the format (.png, .svg, .pdf).
        columns: how many maps stand side by side.

    Raises:
        ValueError: there is no map, or weights have another shape than the words.
        InputError: the path has another ending.
    """
    from seq2seq_fast.visualization.fonts import families_for

    if not alignments:
        raise ValueError("there is no alignment to draw")
    for source, target, weights in alignments:
        if weights.shape != (len(target), len(source)):
            raise ValueError(f"weights {tuple(weights.shape)} do not fit {len(target)} x {len(source)} words")
    alignments = [Alignment([*map(plain, x)], [*map(plain, y)], weights) for x, y, weights in alignments]
    families = families_for(word for one in alignments for word in (*one.source, *one.target))
    figure = new_figure(1, 1)
    with without_missing_signs():
        maps = [_draw(figure.add_axes((0, 0, 1, 1), label=str(i)), one, families) for i, one in enumerate(alignments)]
        _arrange(figure, maps, alignments, min(columns, len(alignments)))
        return save(figure, path)


def _draw(axes: Any, alignment: Alignment, families: list[str]) -> Any:
    axes.imshow(alignment.weights.detach().float().cpu().numpy(), cmap="gray", vmin=0, vmax=1, aspect="auto")
    axes.xaxis.tick_top()
    axes.set_xticks(range(len(alignment.source)), alignment.source, rotation=90, fontfamily=families, **VERBATIM)
    axes.set_yticks(range(len(alignment.target)), alignment.target, fontfamily=families, **VERBATIM)
    axes.tick_params(length=0, pad=3)
    return axes


def _arrange(figure: Any, maps: Sequence[Any], alignments: Sequence[Alignment], columns: int) -> None:
    """Give each map its place: rows and columns as large as the largest labels and maps in them."""
    renderer = figure.canvas.get_renderer()
    left = [_largest(axes.get_yticklabels(), renderer, "width") / figure.dpi + _MARGIN for axes in maps]
    above = [_largest(axes.get_xticklabels(), renderer, "height") / figure.dpi + _MARGIN for axes in maps]
    wide = [_CELL * len(one.source) for one in alignments]
    high = [_CELL * len(one.target) for one in alignments]
    lefts, wides = ([max(part[i::columns]) for i in range(columns)] for part in (left, wide))
    starts = range(0, len(maps), columns)
    aboves, highs = ([max(part[i : i + columns]) for i in starts] for part in (above, high))
    width = sum(lefts) + sum(wides) + _GAP * (columns - 1) + 2 * _MARGIN
    height = sum(aboves) + sum(highs) + _GAP * (len(highs) - 1) + 2 * _MARGIN
    figure.set_size_inches(width, height)
    for index, axes in enumerate(maps):
        row, column = divmod(index, columns)
        x = _MARGIN + sum(lefts[: column + 1]) + sum(wides[:column]) + _GAP * column
        y = height - _MARGIN - sum(aboves[: row + 1]) - sum(highs[:row]) - _GAP * row - high[index]
        axes.set_position((x / width, y / height, wide[index] / width, high[index] / height))


def _largest(labels: Sequence[Any], renderer: Any, side: str) -> float:
    return max((getattr(label.get_window_extent(renderer), side) for label in labels), default=0.0)
