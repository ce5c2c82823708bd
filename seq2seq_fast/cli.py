"""The command ``seq2seq-fast``: train, translate, evaluate, demo, doctor.

This file imports nothing beyond the standard library until a command runs, so that a missing extra is one clear line.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

    from seq2seq_fast.decoding import Translator

_NEEDED = (
    "jsonargparse", "lightning", "sentencepiece", "sacrebleu", "safetensors", "huggingface_hub", "matplotlib",
    "tensorboard", "yaml",
)  # fmt: skip
_USER_ERROR, _INTERRUPTED = 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 2 for what the user can mend, 130 when interrupted.

    The doctor also returns 1, where a check failed.

    Args:
        arguments: instead of those that the process was started with.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["doctor"]:
        # It needs torch alone and has exit codes of its own, so nothing is asked of the extra first.
        from seq2seq_fast.doctor import main as doctor

        return doctor(given[1:])
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        return _fail(f"{', '.join(missing)} not installed; the command needs: pip install 'seq2seq_fast[train]'")
    from jsonargparse import ArgumentError

    from seq2seq_fast.data import InputError

    try:
        parser = build_parser()
        namespace = parser.parse_args(given)
        _COMMANDS[namespace.subcommand](namespace[namespace.subcommand])
        sys.stdout.flush()
    except (InputError, ArgumentError) as error:
        return _fail(str(error))
    except BrokenPipeError:
        # The reader of the output has gone; what Python would still flush at exit has nowhere to go either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except KeyboardInterrupt:
        return _fail("interrupted", _INTERRUPTED)
    return 0


def _fail(message: str, code: int = _USER_ERROR) -> int:
    print(f"seq2seq-fast: error: {' '.join(message.split())}", file=sys.stderr)
    return code


def build_parser() -> ArgumentParser:
    """Return the parser of the whole command line."""
    from jsonargparse import ArgumentParser

    from seq2seq_fast.version import __version__

    parser = ArgumentParser(
        prog="seq2seq-fast",
        description="Translate with attention recurrent networks: train on sentence pairs, translate, evaluate.",
        exit_on_error=False,
        version=__version__,
    )
    commands = parser.add_subcommands(metavar="COMMAND", help="what to do; COMMAND --help says more")
    commands.add_subcommand("train", _train_parser(), help="train a translator on sentence pairs")
    commands.add_subcommand("translate", _translate_parser(), help="translate a file or standard input")
    commands.add_subcommand("evaluate", _evaluate_parser(), help="score a translator on a test set")
    commands.add_subcommand("demo", _demo_parser(), help="train and look at a small translator in a few minutes")
    # Only listed here: main hands it over before anything is parsed.
    commands.add_subcommand("doctor", ArgumentParser(), help="check and time the backends on this machine")
    return parser


def _train_parser() -> ArgumentParser:
    from jsonargparse import ArgumentParser

    from seq2seq_fast.nn import Seq2SeqConfig
    from seq2seq_fast.training import DataConfig, OptimizationConfig, TrainingConfig, VocabularyConfig

    parser = ArgumentParser(
        description="Train a translator on sentence pairs and write it as a folder. "
        "Every setting is a flag and a key of the YAML file; flags after --config override it.",
        usage="seq2seq-fast train [--config FILE.yaml] [--SETTING VALUE ...]",
        exit_on_error=False,
    )
    parser.add_argument("--config", action="config", help="YAML file of settings, such as configs/multi30k_de_en.yaml.")
    parser.add_class_arguments(DataConfig, "data")
    parser.add_class_arguments(VocabularyConfig, "vocabulary")
    sizes = {"source_vocabulary_size", "target_vocabulary_size"}
    parser.add_class_arguments(Seq2SeqConfig, "model", skip=sizes, instantiate=False)
    parser.add_class_arguments(OptimizationConfig, "optimization")
    parser.add_class_arguments(TrainingConfig, "training")
    return parser


def _add_search(parser: ArgumentParser) -> None:
    from seq2seq_fast.decoding import SearchConfig

    parser.add_argument("model", type=str, help="Model folder that the train command wrote.")
    parser.add_class_arguments(SearchConfig, "search")
    parser.add_argument("--device", type=str, default="cpu", help="Where to translate: cpu, cuda, cuda:1, ...")


def _translate_parser() -> ArgumentParser:
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(
        description="Translate sentences, one a line, from a file or from standard input to standard output.",
        usage="seq2seq-fast translate MODEL [INPUT] [--FLAG VALUE ...]",
        exit_on_error=False,
    )
    _add_search(parser)
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


def _evaluate_parser() -> ArgumentParser:
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(
        description="Translate a test set and print BLEU and chrF with sacreBLEU's signatures.",
        usage="seq2seq-fast evaluate MODEL --src FILE --ref FILE [--FLAG VALUE ...]",
        exit_on_error=False,
    )
    _add_search(parser)
    parser.add_argument("--src", type=str, required=True, help="Source sentences, one a line.")
    parser.add_argument("--ref", type=str, required=True, help="Reference translations, line by line.")
    parser.add_argument("--output", type=str, default=None, help="File to write the translations to.")
    return parser


def _demo_parser() -> ArgumentParser:
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(
        description="Generate a German-English corpus, train on it with attention and without, and show test BLEU, "
        "translations and a picture of the attention.",
        exit_on_error=False,
    )
    parser.add_argument("--output", type=str, default="build/demo", help="Folder to write everything to.")
    parser.add_argument("--minutes", type=float, default=1.4, help="Time for the training of each of the two models.")
    return parser


def _train(namespace: Namespace) -> None:
    from seq2seq_fast.training import DataConfig, OptimizationConfig, TrainingConfig, VocabularyConfig
    from seq2seq_fast.training.run import train

    result = train(
        DataConfig(**namespace.data.as_dict()),
        VocabularyConfig(**namespace.vocabulary.as_dict()),
        namespace.model.as_dict(),
        OptimizationConfig(**namespace.optimization.as_dict()),
        TrainingConfig(**namespace.training.as_dict()),
    )
    if result.is_first_process:
        print(
            f"{result.folder}: validation BLEU {result.bleu:.2f} (greedy) after {result.steps:,} steps "
            f"and {result.minutes:.1f} minutes"
        )


def _load(namespace: Namespace) -> tuple[Translator, Any]:
    import torch

    from seq2seq_fast.data import InputError
    from seq2seq_fast.decoding import SearchConfig, Translator

    try:
        torch.empty(0, device=namespace.device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device {namespace.device}: {str(error).splitlines()[0]}") from None
    return Translator.load(namespace.model, namespace.device), SearchConfig(**namespace.search.as_dict())


def _translate(namespace: Namespace) -> None:
    from seq2seq_fast.data import InputError

    translator, search = _load(namespace)
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


def _evaluate(namespace: Namespace) -> None:
    from seq2seq_fast.data import read_pairs
    from seq2seq_fast.evaluation import score

    pairs = read_pairs(namespace.src, namespace.ref)
    _check_output(namespace.output, namespace.src, namespace.ref)
    translator, search = _load(namespace)
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


def _demo(namespace: Namespace) -> None:
    from seq2seq_fast.data import check_ranges
    from seq2seq_fast.demo import run_demo

    check_ranges("demo", namespace, above_zero=("minutes",))
    run_demo(namespace.output, namespace.minutes)


_COMMANDS = {"train": _train, "translate": _translate, "evaluate": _evaluate, "demo": _demo}

if __name__ == "__main__":
    sys.exit(main())
