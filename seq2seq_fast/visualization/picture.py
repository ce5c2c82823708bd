"""What all pictures share: size, colours, and files that are whole and the same each time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from seq2seq_fast.data.errors import InputError
from seq2seq_fast.data.files import whole_file

SUFFIXES = (".png", ".svg", ".pdf")
# Okabe and Ito's colours, which colour-blind readers tell apart.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_DATES: dict[str, dict[str, Any]] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}


def check_picture(path: str | Path) -> None:
    """Raise InputError where the ending is not that of a format that is drawn."""
    if Path(path).suffix not in SUFFIXES:
        raise InputError(f"{path}: a picture's name ends in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")


def new_figure(width: float, height: float, **settings: Any) -> Figure:
    """Return an empty figure of so many inches, drawn without a display."""
    figure = Figure(figsize=(width, height), dpi=150, **settings)
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: str | Path) -> Path:
    """Write a figure whole or not at all; the ending chooses the format. The same figure gives the same file."""
    check_picture(path)
    path = Path(path)
    with whole_file(path) as partial, matplotlib.rc_context({"svg.hashsalt": "seq2seq_fast"}):
        figure.savefig(partial, metadata=_DATES.get(path.suffix))
    return path


def tidy(axes: Any) -> None:
    """Take away the frame's upper and right side and draw a pale grid."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3, linewidth=0.6)
