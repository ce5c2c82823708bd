"""The command ``seq2seq-fast``: train, translate, evaluate, score, align, average, demo, doctor.

This file imports nothing beyond the standard library until a command runs, so that a missing extra is one clear line.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from seq2seq_fast.commands.arguments import as_utf_8, check_text, positionals_first, shortened
from seq2seq_fast.streams import lead_nowhere, provide_streams

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

_NEEDED = (
    "jsonargparse", "lightning", "sentencepiece", "sacrebleu", "safetensors", "huggingface_hub", "matplotlib",
    "tensorboard", "yaml", "regex",
)  # fmt: skip
_COMMANDS = ("train", "translate", "evaluate", "score", "align", "average", "demo")
_USER_ERROR, _INTERRUPTED = 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 2 for what the user can mend, 130 when interrupted.

    The doctor also returns 1, where a check failed.

    Args:
        arguments: instead of those that the process was started with.
    """
    provide_streams()
    try:
        return _main(arguments)
    except KeyboardInterrupt as interrupt:
        return _fail(str(interrupt) or "interrupted", _INTERRUPTED)
    finally:
        # What Python itself would still flush at exit, with a message of its own.
        try:
            sys.stdout.flush()
        except (OSError, ValueError):
            lead_nowhere(sys.stdout)


def _main(arguments: Sequence[str] | None) -> int:
    given = as_utf_8(sys.argv[1:]) if arguments is None else list(arguments)
    if given[:1] == ["doctor"]:
        # It needs torch alone and has exit codes of its own, so nothing is asked of the extra first.
        from seq2seq_fast.doctor import main as doctor

        return doctor(given[1:])
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        return _fail(f"{', '.join(missing)} not installed; the command needs: pip install 'seq2seq_fast[train]'")
    from seq2seq_fast.data import InputError

    try:
        _check_backend()
        namespace = _parse(given)
        import_module(f"seq2seq_fast.commands.{namespace.subcommand}").run(namespace[namespace.subcommand])
        sys.stdout.flush()
    except InputError as error:
        return _fail(str(error))
    except BrokenPipeError:
        lead_nowhere(sys.stdout)  # its reader has gone
    except OSError as error:
        if error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return _fail(f"standard output: cannot be written ({error.strerror}): make room or choose another place")
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    return 0


def _parse(given: list[str]) -> Namespace:
    """Return the settings of a command line.

    Raises:
        InputError: it cannot be understood.
    """
    from seq2seq_fast.commands.config_file import check_config_files
    from seq2seq_fast.data import InputError

    check_config_files(given)
    if given and given[0] in _COMMANDS:
        own = import_module(f"seq2seq_fast.commands.{given[0]}").make_parser()
        given = [given[0], *positionals_first(own, given[1:])]
    parser = build_parser()
    try:
        namespace = parser.parse_args(given)
    except Exception as error:  # whatever a value makes jsonargparse and the libraries below it raise
        said = shortened(str(error)) or type(error).__name__
        raise InputError(f"{said} (what there is: seq2seq-fast COMMAND --help)") from error
    check_text(namespace)
    return namespace


def _check_backend() -> None:
    """Raise InputError where the environment names a backend that cannot run here."""
    from seq2seq_fast.data import InputError
    from seq2seq_fast.ops.backends import backends

    name = os.environ.get("SEQ2SEQ_FAST_BACKEND")
    if not name:
        return
    known = backends()
    if name not in known:
        raise InputError(f"SEQ2SEQ_FAST_BACKEND={name} is no backend; there are {', '.join(known)}")
    if not known[name].usable:
        raise InputError(f"SEQ2SEQ_FAST_BACKEND={name} cannot run here: {known[name].reason}")


def _fail(message: str, code: int = _USER_ERROR) -> int:
    from seq2seq_fast.progress import tell

    tell(f"seq2seq-fast: error: {' '.join(message.split())}")
    return code


def build_parser() -> ArgumentParser:
    """Return the parser of the whole command line."""
    from jsonargparse import ArgumentParser

    from seq2seq_fast.commands import align, average, demo, evaluate, score, train, translate
    from seq2seq_fast.version import __version__

    parser = ArgumentParser(
        prog="seq2seq-fast",
        description="Translate with attention recurrent networks: train on sentence pairs, translate, evaluate.",
        exit_on_error=False,
        version=__version__,
    )
    commands = parser.add_subcommands(metavar="COMMAND", help="what to do; COMMAND --help says more")
    commands.add_subcommand("train", train.make_parser(), help="train a translator on sentence pairs")
    commands.add_subcommand("translate", translate.make_parser(), help="translate a file or standard input")
    commands.add_subcommand("evaluate", evaluate.make_parser(), help="score a translator on a test set")
    commands.add_subcommand(
        "score", score.make_parser(), help="log probabilities of given translations, n-best rescoring"
    )
    commands.add_subcommand("align", align.make_parser(), help="show and write which words the attention aligns")
    commands.add_subcommand("average", average.make_parser(), help="average the weights of checkpoints or models")
    commands.add_subcommand("demo", demo.make_parser(), help="train and look at a small translator in a few minutes")
    # Only listed here: main hands it over before anything is parsed.
    commands.add_subcommand("doctor", ArgumentParser(), help="check and time the backends on this machine")
    return parser


if __name__ == "__main__":
    sys.exit(main())
