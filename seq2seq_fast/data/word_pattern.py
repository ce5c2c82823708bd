"""What a word is, in any script: letters and numbers with all that Unicode attaches to them, or one sign."""

from __future__ import annotations

import regex

SPACE = "▁"
_BASE = r"\p{L}\p{N}_"
# Marks, such as vowel signs and viramas, and what joins letters or turns their direction. A zero-width space parts.
_ATTACHED = r"[\p{M}\p{Cf}--\u200B]"


def word_pattern(*, unknown: str | None = None, apart: str | None = None) -> regex.Pattern[str]:
    """Return the pattern of one word or sign, with the ``▁`` for a space before it.

    A word is of letters, numbers, apostrophes and hyphens, with the marks, joiners and direction marks on them. Every
    other sign stands alone, with what belongs to it: an emoji of several is one sign (Unicode's UAX 29).

    Args:
        unknown: text that is a word too.
        apart: letters, as in a regular expression's set, each of which is a word with what is attached to it.
    """
    base = f"[{_BASE}]" if apart is None else f"[[{_BASE}]--[{apart}]]"
    words = [rf"{_ATTACHED}*{base}[[{base}\p{{M}}\p{{Cf}}'\u2019\-]--\u200B]*"]
    if apart is not None:
        words.append(rf"{_ATTACHED}*[[{apart}]--\p{{M}}]{_ATTACHED}*")
    sign = rf"(?=[^{_BASE}\s])\X{_ATTACHED}*"
    return regex.compile("|".join(f"{SPACE}?{one}" for one in (unknown, *words, sign) if one), regex.VERSION1)
