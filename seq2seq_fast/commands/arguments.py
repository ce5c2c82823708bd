"""What is done to a command line before it is parsed."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

_LONGEST_MESSAGE = 400


def as_utf_8(arguments: Sequence[str]) -> list[str]:
    """Return the arguments, decoded as UTF-8 by a Python whose file names are UTF-8.

    A process that was started under another locale begins again: nothing else changes how Python names files.
    """
    if sys.getfilesystemencoding() != "utf-8":
        # For the processes that this one starts, and for itself where it heeds no variables.
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])
    return list(arguments)


def positionals_first(parser: ArgumentParser, arguments: Sequence[str]) -> list[str]:
    """Return a command's arguments with those that no flag takes in front.

    argparse gives a positional argument that may be left out nothing where it stands behind a flag.
    """
    positional: list[str] = []
    flags: list[str] = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "--":
            return [*positional, *flags, "--", *rest] if not positional else [*flags, "--", *positional, *rest]
        if argument == "-" or not argument.startswith("-"):
            positional.append(argument)
            continue
        flags.append(argument)
        if "=" in argument:
            continue
        wanted = _values(parser, argument)
        while rest and wanted and (wanted == 1 or not _is_flag(rest[0])):
            flags.append(rest.pop(0))
            wanted -= 1
    return [*positional, *flags]


def _values(parser: ArgumentParser, flag: str) -> float:
    """How many values a flag takes at most."""
    known: dict[str, Any] = parser._option_string_actions
    found = {id(action): action for name, action in known.items() if name == flag} or {
        id(action): action for name, action in known.items() if name.startswith(flag)
    }
    takes = {action.nargs for action in found.values()}
    if takes == {"+"} or takes == {"*"}:
        return float("inf")
    return 0 if takes == {0} else 1


def _is_flag(argument: str) -> bool:
    return argument.startswith("-") and argument != "-"


def check_text(settings: Mapping[str, Any]) -> None:
    """Check that the texts among a command's settings can be names of files.

    Raises:
        InputError: one has a NUL.
    """
    from seq2seq_fast.data import InputError

    for name, value in settings.items():
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and "\0" in text:
                raise InputError(f"{name}: {text!r:.60} has a NUL, which no name and no text has")


def shortened(message: str) -> str:
    """Return the message of an error about an argument, without most of what it repeats of a very long one."""
    message = re.sub(r"Exceeds the limit .*", "has too many digits for a number", message)
    return message if len(message) <= _LONGEST_MESSAGE else f"{message[:200]} ... {message[-150:]}"
