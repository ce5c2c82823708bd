"""Ranges of settings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from seq2seq_fast.data.errors import InputError


def check_ranges(
    group: str,
    settings: Any,
    *,
    at_least: Mapping[str, int] | None = None,
    at_most: Mapping[str, int] | None = None,
    above_zero: Sequence[str] = (),
    shares: Sequence[str] = (),
) -> None:
    """Check that numbers of a settings object are finite and in range; None passes. No integer has more than 32 bits.

    Args:
        group: the settings' name, for the message.
        settings: has an attribute for each name.
        at_least: the smallest values.
        at_most: the largest values.
        above_zero: names of what must be larger than zero.
        shares: names of what must be at least 0 and less than 1.

    Raises:
        InputError: one is not; the message names it.
    """

    def check(name: str, holds: bool, wanted: str) -> None:
        if not holds:
            got = value(name)
            shown = f"{got:g}" if isinstance(got, float) else got if abs(got) < 2**64 else "one of more digits"
            raise InputError(f"{group}.{name} must be {wanted}; got {shown}")

    def value(name: str) -> Any:
        return getattr(settings, name)

    for name in {**(at_least or {}), **(at_most or {}), **dict.fromkeys((*above_zero, *shares))}:
        check(name, not isinstance(value(name), float) or math.isfinite(value(name)), "a finite number")
    for name, low in (at_least or {}).items():
        check(name, value(name) is None or value(name) >= low, f"at least {low}")
    for name, high in (at_most or {}).items():
        check(name, value(name) is None or value(name) <= high, f"at most {high}")
    for name in above_zero:
        check(name, value(name) is None or value(name) > 0, "larger than 0")
    for name in shares:
        check(name, value(name) is None or 0 <= value(name) < 1, "at least 0 and less than 1")
    for name, given in vars(settings).items():
        # More than any counter that is made of it holds.
        check(name, type(given) is not int or abs(given) < 2**32, "a number of at most 32 bits")
