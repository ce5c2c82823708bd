"""``seq2seq-fast evaluate``."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from seq2seq_fast.commands.output import check_outputs, check_standard_output
from seq2seq_fast.commands.search import add_search, load

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace


def make_parser() -> ArgumentParser:
    from jsonargparse import ArgumentParser

    from seq2seq_fast.training import EvaluationConfig

    parser = ArgumentParser(
        description="Translate a test set and print BLEU and chrF with sacreBLEU's signatures.",
        usage="seq2seq-fast evaluate MODEL --src FILE --ref FILE [FILE ...] [--FLAG VALUE ...]",
        exit_on_error=False,
    )
    add_search(parser, long=True)
    parser.add_argument("--src", type=str, required=True, help="Source sentences, one a line.")
    parser.add_argument(
        "--ref",
        type=str,
        nargs="+",
        required=True,
        metavar="FILE",
        help="Reference translations, line by line; of several files an empty line is no reference.",
    )
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
    parser.add_argument(
        "--compare_to",
        type=str,
        nargs="+",
        default=[],
        metavar="FILE",
        help="Other systems' translations of the same sentences: sacreBLEU's paired tests say whether each differs.",
    )
    parser.add_argument(
        "--bootstrap_samples", type=int, default=1000, help="Test sets that are drawn; 0 leaves paired bootstrap out."
    )
    parser.add_argument(
        "--randomisation_trials",
        type=int,
        default=10000,
        help="Exchanges between two systems; 0 leaves approximate randomisation out.",
    )
    parser.add_argument(
        "--comet",
        type=str,
        default=None,
        metavar="MODEL",
        help="Also score by this COMET model, a checkpoint or a name such as Unbabel/wmt22-comet-da; needs the package "
        "unbabel-comet.",
    )
    parser.add_argument("--length_width", type=int, default=10, help="Source lengths that are scored together.")
    return parser


def run(namespace: Namespace) -> None:
    from seq2seq_fast.data import read_pairs
    from seq2seq_fast.data.files import write_lines
    from seq2seq_fast.decoding import Translator
    from seq2seq_fast.decoding.long_sentences import search_each
    from seq2seq_fast.evaluation import choose_tokenizer, comet_score, load_comet, score
    from seq2seq_fast.progress import Progress, tell

    _check(namespace)
    sets = [read_pairs(namespace.src, name) for name in namespace.ref]
    sources, references = [pair.source for pair in sets[0]], [[pair.target for pair in pairs] for pairs in sets]
    others = {name: [pair.target for pair in read_pairs(namespace.src, name)] for name in namespace.compare_to}
    tokenize = choose_tokenizer([line for one in references for line in one], namespace.evaluation.tokenize)
    comet = None if namespace.comet is None else load_comet(namespace.comet)
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
        if comet is not None:
            gpus = int(namespace.device != "cpu")
            print(f"COMET {comet_score(comet, sources, hypotheses, references, gpus=gpus):.4f}  {namespace.comet}")
        _compare(namespace, hypotheses, others, references, tokenize)
        speed = f"{len(sources) / seconds:.0f} sentences a second"
        tell(f"{len(sources):,} sentences, beam {search.beam_size}, {seconds:.1f} seconds, {speed}")
    finally:
        if namespace.output is not None:
            write_lines(namespace.output, hypotheses)
    if namespace.by_length is not None:
        more = [
            translate(other, f"translate with {folder}")
            for other, folder in zip(compared, namespace.compare, strict=True)
        ]
        _draw_by_length(namespace, sources, [hypotheses, *more], references, tokenize)


def _check(namespace: Namespace) -> None:
    from seq2seq_fast.data import InputError, check_ranges
    from seq2seq_fast.evaluation.significance import check_seed
    from seq2seq_fast.visualization.picture import check_picture

    check_ranges("evaluate", namespace, at_least={"length_width": 1, "bootstrap_samples": 0, "randomisation_trials": 0})
    outputs = {"output": namespace.output, "by_length": namespace.by_length}
    check_outputs(outputs, namespace.src, *namespace.ref, *namespace.compare_to)
    if not any(outputs.values()):
        check_standard_output()
    if namespace.compare_to:
        check_seed()
        if namespace.model in namespace.compare_to or len(set(namespace.compare_to)) < len(namespace.compare_to):
            raise InputError("--compare_to: name each system once")
        if not namespace.bootstrap_samples and not namespace.randomisation_trials:
            raise InputError(
                "--compare_to: bootstrap_samples and randomisation_trials are both 0: nothing would be tested"
            )
    if namespace.by_length is not None:
        check_picture(namespace.by_length)
    elif namespace.compare:
        raise InputError("--compare adds models to the picture of --by_length FILE: give that too")


def _compare(
    namespace: Namespace,
    hypotheses: list[str],
    others: dict[str, list[str]],
    references: list[list[str]],
    tokenize: str,
) -> None:
    """Print how far the model's translations differ from other systems'."""
    from seq2seq_fast.evaluation import paired_test, significance_table

    tests: dict[Any, int] = {
        "bootstrap": namespace.bootstrap_samples, "randomisation": namespace.randomisation_trials
    }  # fmt: skip
    systems = {namespace.model: hypotheses} | others
    for kind, samples in tests.items() if others else ():
        if samples:
            found = paired_test(systems, references, kind, samples=samples, tokenize=tokenize)
            print(significance_table(found, kind, samples), flush=True)


def _draw_by_length(
    namespace: Namespace, sources: list[str], translations: list[list[str]], references: list[list[str]], tokenize: str
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
