"""``seq2seq-fast score``."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from seq2seq_fast.commands.input import StandardInput, blocks, name_of
from seq2seq_fast.commands.output import check_outputs, check_standard_output
from seq2seq_fast.commands.search import add_search, load
from seq2seq_fast.streams import is_absent

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

    from seq2seq_fast.decoding import GivenScore

# Pairs that are scored together, so that those of about the same length share batches.
_BLOCK = 2048


def make_parser() -> ArgumentParser:
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(
        description="Write the log probability and the perplexity that a model gives translations, ends included, as "
        "JSON lines: one a sentence (line, source, text, log_probability, perplexity, pieces, log_probabilities of the "
        "pieces and the end), and one of all (sentences, pieces with ends, log_probability, perplexity). With --n_best "
        "the translations of each record get this model's score and are sorted by it.",
        usage="seq2seq-fast score MODEL (--src FILE --ref FILE | --n_best FILE) [--FLAG VALUE ...]",
        exit_on_error=False,
    )
    add_search(parser)
    parser.add_argument("--src", type=str, default=None, help="Source sentences, one a line.")
    parser.add_argument("--ref", type=str, default=None, help="Their translations, line by line.")
    parser.add_argument(
        "--n_best",
        type=str,
        default=None,
        metavar="FILE",
        help="JSON lines of translate --format jsonl --n_best N (- is standard input): score these translations and "
        "sort them by log probability over search.length_penalty's penalty; what stood there is kept as before.",
    )
    parser.add_argument("--output", type=str, default="-", help="File to write to; - is standard output.")
    parser.add_argument(
        "--long",
        type=Literal["refuse", "cut", "skip"],
        default="refuse",
        help="What to do where a side has more than search.max_source_length pieces: end there with an error; score "
        "its first pieces; or score nothing there: its figures are null and left out of the whole.",
    )
    return parser


def run(namespace: Namespace) -> None:
    from seq2seq_fast.data.files import write_lines
    from seq2seq_fast.progress import Progress

    _check(namespace)
    translator, search = load(namespace)
    rescored = namespace.n_best is not None
    to_file = namespace.output != "-"
    # On a terminal the lines themselves show how far it is.
    with Progress("score", "translations", shown=to_file or not sys.stdout.isatty()) as shown:
        options = {
            "batch_tokens": search.batch_tokens,
            "max_length": search.max_source_length,
            "long": namespace.long,
            "told": shown.add,
        }
        if rescored:
            records = _rescored(namespace, translator, search.length_penalty, options)
        else:
            records = _scored(namespace, translator, options)
        lines = (json.dumps(record, ensure_ascii=False, allow_nan=False) for record in records)
        if to_file:
            write_lines(namespace.output, lines)
        else:
            for line in lines:
                print(line)


def _check(namespace: Namespace) -> None:
    from seq2seq_fast.data import InputError

    if namespace.n_best is not None and (namespace.src is not None or namespace.ref is not None):
        raise InputError("--n_best has sources and translations of its own: give it, or --src and --ref")
    if namespace.n_best is None and (namespace.src is None or namespace.ref is None):
        raise InputError("give --src FILE and --ref FILE, or --n_best FILE: there is nothing to score")
    if namespace.n_best == "-" and is_absent(sys.stdin):
        raise InputError("standard input is closed: name a file with --n_best")
    if namespace.output == "-":
        check_standard_output()
    else:
        read = None if namespace.n_best == "-" else namespace.n_best
        check_outputs({"output": namespace.output}, namespace.src, namespace.ref, read)


def _scored(namespace: Namespace, translator: Any, options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a record of each pair, and one of all."""
    from seq2seq_fast.data.text import stream_pairs
    from seq2seq_fast.decoding import perplexity, score_given

    number, counted, pieces = 0, 0, 0
    sums: list[float] = []
    sides = (namespace.src, namespace.ref)
    for block in blocks(stream_pairs(namespace.src, namespace.ref), _BLOCK):
        found = score_given(
            translator,
            block,
            origin=partial(_line, sides, number + 1),
            **options,
        )
        for (source, text), one in zip(block, found, strict=False):
            number += 1
            yield {"line": number, "source": source, "text": text, **_figures(one)}
            if one is not None:
                counted, pieces = counted + 1, pieces + len(one.log_probabilities)
                sums.append(one.log_probability)
    total = math.fsum(sums)
    yield {
        "sentences": counted,
        "pieces": pieces,
        "log_probability": _rounded(total),
        "perplexity": _rounded(perplexity(total, pieces)),
    }


def _figures(one: GivenScore | None) -> dict[str, Any]:
    from seq2seq_fast.decoding import perplexity

    if one is None:
        return dict.fromkeys(["log_probability", "perplexity", "pieces", "log_probabilities"])
    return {
        "log_probability": _rounded(one.log_probability),
        "perplexity": _rounded(perplexity(one.log_probability, len(one.log_probabilities))),
        "pieces": one.pieces,
        "log_probabilities": [_rounded(each) for each in one.log_probabilities],
    }


def _rounded(value: float) -> float | None:
    """For JSON, which has no infinity and no NaN."""
    return round(value, 6) if math.isfinite(value) else None


def _rescored(namespace: Namespace, translator: Any, alpha: float, options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the records of an n-best list with this model's scores, best first; what is not scored stands last."""
    from seq2seq_fast.decoding import score_given

    name = name_of(namespace.n_best)
    for block in blocks(_records(namespace.n_best), _BLOCK // 8):
        places = [(number, rank) for number, record in block for rank in range(1, len(record["translations"]) + 1)]
        found = score_given(
            translator,
            [(record["source"], one["text"]) for _, record in block for one in record["translations"]],
            origin=partial(_translation, name, places),
            **options,
        )
        for _, record in block:
            # As many of the scores as the record has translations.
            scored = zip(record["translations"], found, strict=False)
            translations = [_with(one, given, alpha) for one, given in scored]
            translations.sort(key=lambda one: math.inf if one["score"] is None else -one["score"])
            yield {**record, "translations": translations}


def _line(files: tuple[str, str], first: int, place: int, side: int) -> tuple[str, int]:
    """What an error calls a side of a pair."""
    return f"{files[side]}: line", first + place


def _translation(name: str, places: list[tuple[int, int]], place: int, side: int) -> tuple[str, int]:
    """What an error calls the source or a translation of a record."""
    number, rank = places[place]
    return (f"{name}: line {number:,}: translation", rank) if side else (f"{name}: line", number)


def _with(one: dict[str, Any], given: GivenScore | None, alpha: float) -> dict[str, Any]:
    """A translation of a record with its new score, and the figures of before."""
    from seq2seq_fast.decoding.beam import penalty_of

    score = None
    if given is not None:
        score = _rounded(given.log_probability / penalty_of(len(given.log_probabilities), alpha))
    was = {name: one[name] for name in ("score", "log_probability") if name in one}
    return {**one, "score": score, **_figures(given), "before": was}


def _refused(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _records(path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number of each line and the record there."""
    from seq2seq_fast.data import InputError, read_lines

    name = name_of(path)
    for number, line in enumerate(StandardInput().lines() if path == "-" else read_lines(path), start=1):
        try:
            record = json.loads(line, parse_constant=_refused)
            for text in (record["source"], *(one["text"] for one in record["translations"])):
                str.encode(text)  # text, without half characters
        except (ValueError, TypeError, KeyError, RecursionError):
            raise InputError(
                f"{name}: line {number:,} is no record with source and translations: write them with translate "
                "--format jsonl --n_best N"
            ) from None
        yield number, record
