"""``seq2seq-fast translate``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from seq2seq_fast.commands.search import add_search, load

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace


def make_parser() -> ArgumentParser:
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(
        description="Translate sentences, one a line, from a file or from standard input to standard output.",
        usage="seq2seq-fast translate MODEL [INPUT] [--FLAG VALUE ...]",
        exit_on_error=False,
    )
    add_search(parser)
    parser.add_argument("input", type=str, nargs="?", default="-", help="Text file (.gz too); - is standard input.")
    parser.add_argument(
        "--n_best",
        type=int,
        default=1,
        help="Translations of each sentence; more than one are written as: line number ||| translation ||| score.",
    )
    parser.add_argument(
        "--lines", type=int, default=512, help="Lines that are read and translated together; 1 answers each at once."
    )
    return parser


def run(namespace: Namespace) -> None:
    from seq2seq_fast.data import InputError

    translator, search = load(namespace)
    if not 1 <= namespace.n_best <= search.beam_size:
        raise InputError(f"n_best must lie between 1 and search.beam_size, {search.beam_size}; got {namespace.n_best}")
    # A person at the keyboard is answered line by line.
    lines = 1 if namespace.input == "-" and sys.stdin.isatty() else max(1, namespace.lines)
    number = 0
    for block in _blocks(_input_lines(namespace.input), lines):
        for found in translator.search(block, search, n_best=namespace.n_best):
            number += 1
            if namespace.n_best == 1:
                print(found[0].text)
            else:
                for translation in found:
                    print(f"{number} ||| {translation.text} ||| {translation.score:.4f}")
        sys.stdout.flush()


def _input_lines(name: str) -> Iterator[str]:
    from seq2seq_fast.data import read_lines
    from seq2seq_fast.data.text import decode_lines

    return decode_lines(sys.stdin.buffer, "standard input") if name == "-" else read_lines(name)


def _blocks(lines: Iterator[str], size: int) -> Iterator[list[str]]:
    block: list[str] = []
    for line in lines:
        block.append(line)
        if len(block) == size:
            yield block
            block = []
    if block:
        yield block
