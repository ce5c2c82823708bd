"""``seq2seq-fast demo``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace


def make_parser() -> ArgumentParser:
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(
        description="Generate a German-English corpus, train on it with attention and without, and show test BLEU, "
        "translations and a picture of the attention; then a Korean-English one, and how well attention aligns the "
        "words of both.",
        exit_on_error=False,
    )
    parser.add_argument("--output", type=str, default="build/demo", help="Folder to write everything to.")
    parser.add_argument(
        "--minutes",
        type=float,
        default=1.2,
        help="Time for the training of each German-English model; the Korean has half.",
    )
    return parser


def run(namespace: Namespace) -> None:
    from seq2seq_fast.data import check_ranges
    from seq2seq_fast.demo import run_demo

    check_ranges("demo", namespace, above_zero=("minutes",))
    try:
        run_demo(namespace.output, namespace.minutes)
    except KeyboardInterrupt:
        # A training's own words would name flags that this command does not have.
        raise KeyboardInterrupt(f"interrupted: run it again, which begins anew in {namespace.output}") from None
