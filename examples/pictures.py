"""Pictures of attention: laid over features as over an image, or as maps between words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from matplotlib.colors import to_rgb
from torch import Tensor

from examples.common import Example, Found
from seq2seq_fast.visualization.alignment import Alignment, draw_alignments
from seq2seq_fast.visualization.picture import COLORS, new_figure, save

_WIDTH, _LEFT, _ROW = 6.5, 0.7, 0.62  # inches


def draw_over_features(source: Tensor, found: Found, path: Path) -> Path:
    """Draw features [Tx, F] as an image (feature 0 on top), then once a word with its attention in colour over it."""
    rows = 1 + len(found.words)
    figure = new_figure(_WIDTH, _ROW * rows)
    grid = {"left": _LEFT / _WIDTH, "right": 0.99, "top": 0.98, "bottom": 0.02, "hspace": 0.12}
    for row, axes in enumerate(figure.subplots(rows, 1, gridspec_kw=grid)):
        axes.imshow(source.T.numpy(), cmap="gray", aspect="auto", interpolation="nearest")
        axes.set_xticks([])
        axes.set_yticks([])
        if row > 0:
            weights = found.weights[row - 1 : row]
            color = torch.tensor(to_rgb(COLORS[1])).expand(1, weights.shape[1], 3)
            layer = torch.cat([color, 0.75 * (weights / weights.max()).unsqueeze(-1)], dim=-1)
            extent = (*axes.get_xlim(), *axes.get_ylim())
            axes.imshow(layer.numpy(), aspect="auto", interpolation="nearest", extent=extent)
            axes.set_ylabel(found.words[row - 1], rotation=0, ha="right", va="center", fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    return save(figure, path)


def draw_between_words(pairs: Sequence[tuple[Example, Found]], path: Path) -> Path:
    """Draw maps of several examples, one below the other: the words read along the top, those found down the side."""
    path.parent.mkdir(parents=True, exist_ok=True)
    maps = [Alignment(list(example.source), found.words, found.weights) for example, found in pairs]
    return draw_alignments(maps, path, columns=1)
