"""``seq2seq-fast evaluate``."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from seq2seq_fast.commands.output import check_output
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
    from seq2seq_fast.data.files import write_lines
    from seq2seq_fast.evaluation import score

    pairs = read_pairs(namespace.src, namespace.ref)
    check_output("output", namespace.output, namespace.src, namespace.ref)
    translator, search = load(namespace)
    started = time.perf_counter()
    hypotheses = translator.translate([pair.source for pair in pairs], search)
    seconds = time.perf_counter() - started
    if namespace.output is not None:
        write_lines(namespace.output, hypotheses)
    print(score(hypotheses, [pair.target for pair in pairs]))
    speed = f"{len(pairs) / seconds:.0f} sentences a second"
    print(f"{len(pairs):,} sentences, beam {search.beam_size}, {seconds:.1f} seconds, {speed}", file=sys.stderr)
