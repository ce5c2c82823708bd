"""What is checked of a ``--config`` file before its settings are parsed, whose errors would not name it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from seq2seq_fast.commands.arguments import shortened


def check_config_files(arguments: Sequence[str]) -> None:
    """Check the files that ``--config`` names among a command line's arguments.

    Raises:
        InputError: one cannot be read, is not UTF-8, is not YAML, or holds no settings.
    """
    for name in _named(arguments):
        # Settings can also be given in place of a file's name; a missing file has an error of its own.
        if os.path.exists(name):
            _check(name)


def _named(arguments: Sequence[str]) -> Iterator[str]:
    for place, argument in enumerate(arguments):
        flag, equals, value = argument.partition("=")
        if flag == "--config" and equals:
            yield value
        elif flag == "--config" and place + 1 < len(arguments):
            yield arguments[place + 1]


def _check(name: str) -> None:
    import yaml

    from seq2seq_fast.data import InputError, read_lines

    text = "".join(f"{line}\n" for line in read_lines(name))
    try:
        settings = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: "
        reason = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
        raise InputError(f"{name}: not YAML ({where}{reason}): mend that, or leave --config out") from None
    except RecursionError:
        raise InputError(f"{name}: not YAML of settings: it is nested too deeply") from None
    except ValueError as error:  # of a number or a date that is none
        raise InputError(f"{name}: a value cannot be read ({shortened(str(error))}): mend that") from None
    if not isinstance(settings, dict):
        found = "is empty" if settings is None else f"holds {settings!r:.40}"
        raise InputError(f"{name}: {found}, settings are wanted, such as 'training: {{max_epochs: 10}}'")
    for section, value in settings.items():
        if "." not in str(section) and not isinstance(value, dict):
            found = "is empty" if value is None else f"is {value!r:.40}"
            raise InputError(f"{name}: {section} {found}, settings are wanted, such as 'training: {{max_epochs: 10}}'")
