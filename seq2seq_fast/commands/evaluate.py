"""``seq2seq-fast evaluate``."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from seq2seq_fast.commands.output import check_outputs, check_standard_output
from seq2seq_fast.commands.search import add_search, load

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace


def make_parser() -> ArgumentParser:
    from jsonargparse import ArgumentParser

    from seq2seq_fast.training import EvaluationConfig

    parser = ArgumentParser(
        description="Translate a test set and print BLEU and chrF with sacreBLEU's signatures.",
        usage="seq2seq-fast evaluate MODEL --src FILE --ref FILE [--FLAG VALUE ...]",
        exit_on_error=False,
    )
    add_search(parser, long=True)
    parser.add_argument("--src", type=str, required=True, help="Source sentences, one a line.")
    parser.add_argument("--ref", type=str, required=True, help="Reference translations, line by line.")
    parser.add_argument("--output", type=str, default=None, help="File to write the translations to.")
    parser.add_argument(
        "--by_length",
        type=str,
        default=None,
        help="Picture (.png, .svg, .pdf) of BLEU by source length; its table is printed too.",
    )
    parser.add_argument(
        "--compare", type=str, nargs="+", default=[], metavar="MODEL", help="More models for the picture and table."
    )
    parser.add_class_arguments(EvaluationConfig, "evaluation")
    parser.add_argument("--length_width", type=int, default=10, help="Source lengths that are scored together.")
    return parser


def run(namespace: Namespace) -> None:
    from seq2seq_fast.data import read_pairs
    from seq2seq_fast.data.files import write_lines
    from seq2seq_fast.decoding import Translator
    from seq2seq_fast.decoding.long_sentences import search_each
    from seq2seq_fast.evaluation import choose_tokenizer, score
    from seq2seq_fast.progress import Progress, tell

    _check(namespace)
    pairs = read_pairs(namespace.src, namespace.ref)
    sources, references = [pair.source for pair in pairs], [pair.target for pair in pairs]
    tokenize = choose_tokenizer(references, namespace.evaluation.tokenize)
    translator, search = load(namespace)
    compared = [Translator.load(folder, namespace.device) for folder in namespace.compare]

    def translate(by: Translator, what: str = "translate") -> list[str]:
        with Progress(what, "sentences", len(sources)) as shown:
            origin = (f"{namespace.src}: line", 1)
            found = search_each(by, sources, search, namespace.long, told=shown.add, origin=origin)
            return [translations[0].text for translations in found]

    started = time.perf_counter()
    hypotheses = translate(translator)
    seconds = time.perf_counter() - started
    try:
        # Whichever of both cannot be written, the other is: they have cost the most time.
        print(score(hypotheses, references, tokenize), flush=True)
        speed = f"{len(pairs) / seconds:.0f} sentences a second"
        tell(f"{len(pairs):,} sentences, beam {search.beam_size}, {seconds:.1f} seconds, {speed}")
    finally:
        if namespace.output is not None:
            write_lines(namespace.output, hypotheses)
    if namespace.by_length is not None:
        others = [
            translate(other, f"translate with {folder}")
            for other, folder in zip(compared, namespace.compare, strict=True)
        ]
        _draw_by_length(namespace, sources, [hypotheses, *others], references, tokenize)


def _check(namespace: Namespace) -> None:
    from seq2seq_fast.data import InputError, check_ranges
    from seq2seq_fast.visualization.picture import check_picture

    check_ranges("evaluate", namespace, at_least={"length_width": 1})
    outputs = {"output": namespace.output, "by_length": namespace.by_length}
    check_outputs(outputs, namespace.src, namespace.ref)
    if not any(outputs.values()):
        check_standard_output()
    if namespace.by_length is not None:
        check_picture(namespace.by_length)
    elif namespace.compare:
        raise InputError("--compare adds models to the picture of --by_length FILE: give that too")


def _draw_by_length(
    namespace: Namespace, sources: list[str], translations: list[list[str]], references: list[str], tokenize: str
) -> None:
    from seq2seq_fast.evaluation import bleu_by_length, length_table
    from seq2seq_fast.progress import tell, told_warnings
    from seq2seq_fast.visualization import draw_bleu_by_length

    folders = [namespace.model, *namespace.compare]
    names = [os.path.basename(os.path.abspath(folder)) for folder in folders]
    if len(set(names)) < len(names):
        names = folders
    scores = {
        name: bleu_by_length(sources, hypotheses, references, width=namespace.length_width, tokenize=tokenize)
        for name, hypotheses in zip(names, translations, strict=True)
    }
    empty = len(sources) - sum(group.sentences for group in next(iter(scores.values())))
    if empty:
        tell(f"{empty:,} sentences with an empty source belong to no length")
    print(length_table(scores))
    with told_warnings():
        draw_bleu_by_length(scores, namespace.by_length)
