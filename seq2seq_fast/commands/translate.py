"""``seq2seq-fast translate``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Literal

from seq2seq_fast.commands.input import StandardInput, blocks, name_of
from seq2seq_fast.commands.output import check_standard_output
from seq2seq_fast.commands.search import add_search, load
from seq2seq_fast.streams import is_absent

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

    from seq2seq_fast.decoding import Translation


def make_parser() -> ArgumentParser:
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(
        description="Translate sentences, one a line, from a file or from standard input to standard output.",
        usage="seq2seq-fast translate MODEL [INPUT] [--FLAG VALUE ...]",
        exit_on_error=False,
    )
    add_search(parser, long=True)
    parser.add_argument("input", type=str, nargs="?", default="-", help="Text file (.gz too); - is standard input.")
    parser.add_argument(
        "--n_best",
        type=int,
        default=1,
        help="Translations of each sentence; as text, more than one are: line number ||| translation ||| score.",
    )
    parser.add_argument(
        "--format",
        type=Literal["text", "jsonl"],
        default="text",
        help="Text, or for each sentence a line of JSON: line, source, and translations, best first, each with text, "
        "score, log_probability and pieces.",
    )
    parser.add_argument("--prefix", type=str, default="", help="Text that every translation begins with.")
    parser.add_argument(
        "--prefixes",
        type=str,
        default=None,
        help="Text file whose line N begins translation N; empty lines force none.",
    )
    parser.add_argument(
        "--lines",
        type=int,
        default=512,
        help="Lines that are read and translated together, fewer where a terminal or a pipe waits for an answer.",
    )
    return parser


def run(namespace: Namespace) -> None:
    from seq2seq_fast.data import InputError
    from seq2seq_fast.decoding.long_sentences import search_each
    from seq2seq_fast.progress import Progress

    check_standard_output()
    if namespace.input == "-" and is_absent(sys.stdin):
        raise InputError("standard input is closed: name a file to translate")
    translator, search = load(namespace)
    if namespace.n_best < 1 or (namespace.n_best > search.beam_size and not search.sample):
        raise InputError(f"n_best must lie between 1 and search.beam_size, {search.beam_size}; got {namespace.n_best}")
    if namespace.prefix and namespace.prefixes:
        raise InputError("--prefix and --prefixes exclude each other: give one of them")
    # Whoever waits for an answer, at the keyboard or behind a pipe, gets it at once.
    source = StandardInput() if namespace.input == "-" else None
    at_hand = source.at_hand if source else lambda: True
    number = 0
    # On a terminal the translations themselves show how far it is.
    with Progress("translate", "lines", shown=not sys.stdout.isatty()) as shown:
        for block in blocks(_sentences(namespace, source), max(1, namespace.lines), at_hand):
            sentences, prefixes = zip(*block, strict=True)
            translations = search_each(
                translator,
                sentences,
                search,
                namespace.long,
                n_best=namespace.n_best,
                prefixes=prefixes,
                told=shown.add,
                origin=(f"{name_of(namespace.input)}: line", number + 1),
            )
            for sentence, found in zip(sentences, translations, strict=True):
                number += 1
                if namespace.format == "jsonl":
                    print(json.dumps(_record(number, sentence, found), ensure_ascii=False))
                elif namespace.n_best == 1:
                    print(found[0].text)
                else:
                    for translation in found:
                        print(f"{number} ||| {translation.text} ||| {translation.score:.4f}")
            sys.stdout.flush()


def _record(number: int, sentence: str, found: list[Translation]) -> dict[str, Any]:
    translations = [
        {
            "text": one.text,
            "score": round(one.score, 6),
            "log_probability": round(one.log_probability, 6),
            "pieces": one.target_pieces,
        }
        for one in found
    ]
    return {"line": number, "source": sentence, "translations": translations}


def _sentences(namespace: Namespace, source: StandardInput | None) -> Iterator[tuple[str, str]]:
    """Yield each sentence with what its translation must begin with."""
    from seq2seq_fast.data import InputError, read_lines

    endless: Any = "cut" if namespace.long == "split" else namespace.long
    lines = source.lines(endless) if source else read_lines(namespace.input, endless)
    if namespace.prefixes is None:
        for line in lines:
            yield line, namespace.prefix
        return
    for line, prefix in zip_longest(lines, read_lines(namespace.prefixes)):
        if line is None or prefix is None:
            raise InputError(f"{namespace.prefixes}: its lines are not as many as those to translate")
        yield line, prefix
