"""``python -m benchmarks corpus``: how fast a corpus of any size is prepared and read, and in how much memory."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.corpus.processes import Memory, TreeWatch
from benchmarks.tables import aligned
from seq2seq_fast.data import SentencePair, TextCorpus, open_store
from seq2seq_fast.data.grammar import embedded_corpus
from seq2seq_fast.progress import Progress
from seq2seq_fast.training import DataConfig, VocabularyConfig
from seq2seq_fast.training.data_module import PairDataModule, make_vocabularies


@dataclass(frozen=True)
class Phase:
    """What a part of the work took.

    Attributes:
        name: of the part.
        pairs: that went through it.
        seconds, processor_seconds: by the clock, and of all processes together.
        peak: memory of all processes together.
    """

    name: str
    pairs: int
    seconds: float
    processor_seconds: float
    peak: Memory


def measure(folder: Path, pairs: int, *, distinct: int, sentences: int, workers: int) -> list[Phase]:
    """Generate and write a corpus, prepare it and take one epoch of batches, as a training with a cache does.

    Args:
        folder: for the texts and the cache; about 260 bytes a pair.
        pairs: how many to write.
        distinct: how many to generate; they are written again, numbered, until there are ``pairs``.
        sentences: of how many the vocabulary is built.
        workers: processes that tokenise, and that make batches.
    """
    phases: list[Phase] = []

    @contextmanager
    def phase(name: str, count: int) -> Iterator[None]:
        with TreeWatch() as watch:
            yield
        phases.append(Phase(name, count, watch.seconds, watch.processor_seconds, watch.peak))

    with phase("generate", min(distinct, pairs)):
        generated = [SentencePair(one.source, one.target) for one in embedded_corpus(size=min(distinct, pairs))]
    files = folder / "train.de", folder / "train.en"
    with phase("write", pairs), Progress("write", "pairs", pairs) as shown:
        _write(files, generated, pairs, shown)
    validation = generated[:100]
    del generated
    text = TextCorpus(*files)
    config = DataConfig(cache=str(folder / "cache"), workers=workers)
    with phase("read, vocabulary", pairs):
        vocabularies = make_vocabularies(VocabularyConfig(sentences=sentences), text, progress=True)
    with phase("tokenise", pairs):
        cache = folder / "cache"
        kept = len(open_store(cache, text, *vocabularies, max_length=config.max_length, workers=workers, progress=True))
    with phase("open, plan", pairs):
        data = PairDataModule(config, vocabularies, text, validation)
    with phase("epoch of batches", pairs):
        _take(data, kept)
    return phases


def _write(files: tuple[Path, Path], generated: Sequence[SentencePair], pairs: int, shown: Progress) -> None:
    with files[0].open("w", encoding="utf-8") as source, files[1].open("w", encoding="utf-8") as target:
        for start in range(0, pairs, len(generated)):
            number = f" {start // len(generated)}" if start else ""
            block = generated[: pairs - start]
            source.writelines(f"{one.source}{number}\n" for one in block)
            target.writelines(f"{one.target}{number}\n" for one in block)
            shown.add(len(block))


def _take(data: PairDataModule, kept: int) -> None:
    taken = 0
    with Progress("batches", "pairs", kept) as shown:
        for batch in data.train_dataloader():
            shown.add(len(batch.numbers))
            taken += len(batch.numbers)
    assert taken == kept, f"{taken} pairs of {kept}"


def table(phases: Sequence[Phase]) -> str:
    """The figures as text."""
    lines = [("phase", "pairs", "seconds", "pairs/s", "pairs/processor s", "own MB", "mapped MB")]
    for one in phases:
        lines.append((
            one.name, f"{one.pairs:,}", f"{one.seconds:.1f}", f"{one.pairs / one.seconds:,.0f}",
            f"{one.pairs / max(one.processor_seconds, 0.01):,.0f}", f"{one.peak.own / 1e6:,.0f}",
            f"{one.peak.files / 1e6:,.0f}",
        ))  # fmt: skip
    return "\n".join(aligned(lines))


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m benchmarks corpus",
        description="Write a generated corpus, tokenise it into a cache and take one epoch of batches, as a training "
        "with data.cache does; print each phase's pairs a second and its peak memory, added up over all processes: "
        "their own, and mapped files, which the system takes back when it needs room. Needs Linux.",
    )
    add = made.add_argument
    add("--pairs", type=int, default=1_000_000, metavar="N", help="default: %(default)s")
    add(
        "--distinct",
        type=int,
        default=50_000,
        metavar="N",
        help="generate this many; they are written again and again, each round with its number behind the sentences, "
        "until there are --pairs (default: %(default)s)",
    )
    add("--sentences", type=int, default=100_000, metavar="N", help="pairs for the vocabulary (default: %(default)s)")
    add("--workers", type=int, default=0, metavar="N", help="data.workers (default: %(default)s)")
    add("--folder", type=Path, help="write there and keep it; otherwise a temporary folder")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    made = parser()
    options = made.parse_args(arguments)
    if min(options.pairs, options.distinct, options.sentences) < 1 or options.workers < 0:
        made.error("--pairs, --distinct and --sentences are at least 1, --workers at least 0")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        settings = {name: getattr(options, name) for name in ("distinct", "sentences", "workers")}
        print(table(measure(folder, options.pairs, **settings)))
    return 0
