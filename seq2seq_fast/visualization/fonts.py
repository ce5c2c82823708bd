"""Fonts that have the signs of a text."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

_OWN = "DejaVu Sans"
# Sans serif fonts with Hangul, the usual ones of Linux, Windows and macOS, before any other that has the signs.
_PREFERRED = ("Noto Sans CJK KR", "Noto Sans KR", "NanumGothic", "Malgun Gothic", "Apple SD Gothic Neo", "AppleGothic")
_PACKAGE = "koreanize_matplotlib"


def families_for(texts: Iterable[str]) -> list[str]:
    """Return the names of installed fonts that together have all signs of ``texts``, matplotlib's own first.

    A warning names the signs that no installed font has, and what to install.
    """
    missing = {sign for text in texts for sign in text if not sign.isspace()} - _signs(_OWN)
    families = [_OWN]
    if missing:
        for name in _others():
            if missing & _signs(name):
                families.append(name)
                missing -= _signs(name)
            if not missing:
                break
    if missing:
        shown = "".join(sorted(missing)[:10])
        warnings.warn(
            f"no installed font has {shown!r}: these signs are drawn as boxes; for Korean: pip install "
            "koreanize-matplotlib, or a system font such as NanumGothic (apt-get install fonts-nanum)",
            stacklevel=3,
        )
    return families


def _others() -> list[str]:
    package = find_spec(_PACKAGE)
    if package is not None and package.origin is not None:
        # Its import would change matplotlib's settings; the file alone is wanted.
        font_manager.fontManager.addfont(Path(package.origin).parent / "fonts" / "NanumGothic.ttf")
    # The last resort has a box for every sign.
    installed = {name for name in font_manager.get_font_names() if not name.startswith("Last Resort")}
    preferred = [name for name in _PREFERRED if name in installed]
    return [*preferred, *sorted(installed - {_OWN, *preferred})]


@lru_cache(maxsize=64)
def _signs(family: str) -> frozenset[str]:
    upright = (font for font in font_manager.fontManager.ttflist if font.name == family and font.style == "normal")
    path = next((font.fname for font in upright if font.weight in (400, "normal", "regular")), None)
    try:
        return frozenset() if path is None else frozenset(map(chr, FT2Font(path).get_charmap()))
    except (OSError, RuntimeError):
        return frozenset()
