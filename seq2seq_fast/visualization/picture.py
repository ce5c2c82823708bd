"""What all pictures share: size, colours, and files that are whole and the same each time."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from seq2seq_fast.data.errors import InputError
from seq2seq_fast.data.files import whole_file

SUFFIXES = (".png", ".svg", ".pdf")
# Text that a person has given is no markup. To be given to every such text, beside `plain`.
VERBATIM: dict[str, Any] = {"parse_math": False, "usetex": False}
_NO_SIGN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
# Okabe and Ito's colours, which colour-blind readers tell apart.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_DATES: dict[str, dict[str, Any]] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}


def check_picture(path: str | Path) -> None:
    """Raise InputError where the ending is not that of a format that is drawn."""
    if Path(path).suffix not in SUFFIXES:
        raise InputError(f"{path}: a picture's name ends in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")


def plain(text: str) -> str:
    """Return a text of one line, with a sign in place of each that has no picture or that a file cannot hold."""
    return _NO_SIGN.sub("\N{REPLACEMENT CHARACTER}", text)


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


@contextmanager
def without_missing_signs() -> Iterator[None]:
    """Leave out matplotlib's warnings of signs that no font has: `families_for` has named them all at once."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        yield


def tidy(axes: Any) -> None:
    """Take away the frame's upper and right side and draw a pale grid."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3, linewidth=0.6)
