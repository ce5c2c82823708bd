"""Alignment maps as in figure 3 of Bahdanau, Cho and Bengio (2014)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

# Hangul is not in matplotlib's own font, the first; of the others those are taken that the system has.
_FONTS = ["DejaVu Sans", "Noto Sans CJK KR", "Noto Sans KR", "NanumGothic", "Malgun Gothic", "AppleGothic"]
_INCHES_A_WORD = 0.32


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

    Args:
        alignments: one map a sentence, at least one.
        path: the picture; its ending chooses the format (.png, .svg, .pdf).
        columns: how many maps stand side by side.

    Raises:
        ValueError: there is no map, or weights have another shape than the words.
    """
    if not alignments:
        raise ValueError("there is no alignment to draw")
    for source, target, weights in alignments:
        if weights.shape != (len(target), len(source)):
            raise ValueError(f"weights {tuple(weights.shape)} do not fit {len(target)} x {len(source)} words")
    columns = min(columns, len(alignments))
    rows = -(-len(alignments) // columns)
    width = _INCHES_A_WORD * max(len(alignment.source) for alignment in alignments) + 1.4
    height = _INCHES_A_WORD * max(len(alignment.target) for alignment in alignments) + 1.4
    figure = Figure(figsize=(columns * width, rows * height), layout="constrained")
    FigureCanvasAgg(figure)
    for index, alignment in enumerate(alignments):
        _draw(figure.add_subplot(rows, columns, index + 1), alignment)
    path = Path(path)
    # Without a date the same maps give the same file.
    figure.savefig(path, dpi=120, metadata={"Date": None} if path.suffix == ".svg" else None)
    return path


def _draw(axes: Any, alignment: Alignment) -> None:
    installed = set(font_manager.get_font_names())
    fonts = [font for font in _FONTS if font in installed]
    axes.imshow(alignment.weights.detach().float().cpu().numpy(), cmap="gray", vmin=0, vmax=1, aspect="equal")
    axes.xaxis.tick_top()
    axes.set_xticks(range(len(alignment.source)), alignment.source, rotation=90, fontfamily=fonts)
    axes.set_yticks(range(len(alignment.target)), alignment.target, fontfamily=fonts)
    axes.tick_params(length=0)
