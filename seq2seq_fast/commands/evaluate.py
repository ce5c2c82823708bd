"""``seq2seq-fast evaluate``."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

from seq2seq_fast.commands.search import add_search, load

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace


def make_parser() -> ArgumentParser:
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(
        description="Translate a test set and print BLEU and chrF with sacreBLEU's signatures.",
        usage="seq2seq-fast evaluate MODEL --src FILE --ref FILE [--FLAG VALUE ...]",
        exit_on_error=False,
    )
    add_search(parser)
    parser.add_argument("--src", type=str, required=True, help="Source sentences, one a line.")
    parser.add_argument("--ref", type=str, required=True, help="Reference translations, line by line.")
    parser.add_argument("--output", type=str, default=None, help="File to write the translations to.")
    return parser


def run(namespace: Namespace) -> None:
    from seq2seq_fast.data import read_pairs
    from seq2seq_fast.evaluation import score

    pairs = read_pairs(namespace.src, namespace.ref)
    _check_output(namespace.output, namespace.src, namespace.ref)
    translator, search = load(namespace)
    started = time.perf_counter()
    hypotheses = translator.translate([pair.source for pair in pairs], search)
    seconds = time.perf_counter() - started
    if namespace.output is not None:
        partial = f"{namespace.output}.partial"
        with open(partial, "w", encoding="utf-8") as stream:
            stream.writelines(f"{line}\n" for line in hypotheses)
        os.replace(partial, namespace.output)
    print(score(hypotheses, [pair.target for pair in pairs]))
    speed = f"{len(pairs) / seconds:.0f} sentences a second"
    print(f"{len(pairs):,} sentences, beam {search.beam_size}, {seconds:.1f} seconds, {speed}", file=sys.stderr)


def _check_output(output: str | None, *inputs: str) -> None:
    """Refuse, before any work, an output that would replace an input or cannot be written."""
    from seq2seq_fast.data import InputError

    if output is None:
        return
    if any(os.path.realpath(output) == os.path.realpath(name) for name in inputs):
        raise InputError(f"--output {output} is one of the files to read: choose another name")
    folder = os.path.dirname(os.path.abspath(output))
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
        raise InputError(f"--output {output}: {folder} is no folder that can be written to")
