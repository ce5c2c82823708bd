"""The demonstration: German-English translators with attention and without in a few minutes, and how well attention
aligns German and Korean words, on corpora that the project generates."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seq2seq_fast.data import InputError
from seq2seq_fast.data.files import write_lines
from seq2seq_fast.data.grammar import AlignedPair, embedded_corpus
from seq2seq_fast.data.pharaoh import GoldAlignment, pharaoh_line
from seq2seq_fast.decoding import SearchConfig, Translation, Translator
from seq2seq_fast.decoding.given import attend_to_given
from seq2seq_fast.decoding.words import attention_of_words, links
from seq2seq_fast.evaluation import AlignmentQuality, alignment_quality, bleu_by_length, length_table, score
from seq2seq_fast.progress import tell
from seq2seq_fast.training import DataConfig, OptimizationConfig, TrainingConfig, VocabularyConfig
from seq2seq_fast.training.run import train
from seq2seq_fast.visualization import draw_alignments, draw_bleu_by_length
from seq2seq_fast.visualization.alignment import Alignment

_SIZES = {"train": 40_000, "validation": 200, "test": 600}
_MAX_WORDS = 20
_LANGUAGES = {"de": "German", "ko": "Korean"}
_SAMPLES, _PICTURES, _LENGTH_WIDTH = 5, 4, 4
# Written first and read by the next demonstration: a folder without it is somebody else's.
_MARK = ".seq2seq-fast-demo"
_MODELS: dict[str, dict[str, Any]] = {
    "with attention": {"attention": "additive"},
    # Cho et al. (2014): the decoder sees the source through the encoder's final state alone.
    "without attention": {"attention": None},
}
# The share of a German translator's time that the Korean one has, which is there for its alignments alone.
_KOREAN_SHARE = 0.5


def run_demo(output: str | Path, minutes: float) -> dict[str, tuple[float, float]]:
    """Generate a German-English corpus, train on it with attention and without, and print what came of it.

    A Korean-English translator follows, with attention: how well the attention aligns words is told of both languages.
    The last lines are test BLEU of the first two models, on the whole test set and on the third of its longest
    sentences.

    Args:
        output: folder for the corpora, the models and the pictures; what an earlier demonstration wrote is replaced.
        minutes: time for the training of each of the first two models; the Korean one has half of it.

    Returns:
        BLEU on the whole test set and on its longest third, of the models "with attention" and "without attention".

    Raises:
        InputError: ``output`` is a file, or a folder that holds something else than an earlier demonstration.
    """
    output, started = Path(output), time.perf_counter()
    _claim(output)
    test = _write_corpus(output / "corpus", "de")
    found, qualities = {}, {}
    for name, settings in _MODELS.items():
        translator = _train(output / "corpus", "de", output / name.replace(" ", "_"), name, minutes, settings)
        results = translator.search([pair.source for pair in test], SearchConfig(beam_size=1), need_weights=True)
        found[name] = [translations[0] for translations in results]
        if settings["attention"] is not None:
            qualities["German"] = _alignment_quality(translator, test)
    korean = _write_corpus(output / "korean_corpus", "ko")
    settings = _MODELS["with attention"]
    translator = _train(
        output / "korean_corpus", "ko", output / "korean", "with attention", minutes * _KOREAN_SHARE, settings
    )
    qualities["Korean"] = _alignment_quality(translator, korean)
    _print_samples(test, found)
    picture = _draw(found["with attention"], output / "attention.png")
    bleu = {name: _bleu(test, translations) for name, translations in found.items()}
    print(f"attention of {_PICTURES} sentences: {picture}")
    print(_by_length(test, found, output / "bleu_by_length.png"))
    for language, quality in qualities.items():
        print(f"test alignments of {language} words by the attention: {quality}")
    print(f"{time.perf_counter() - started:.0f} seconds in all")
    for part, label in enumerate(("", " (longest third)")):
        for name, figures in bleu.items():
            print(f"test BLEU {name}{label}: {figures[part]:.2f}")
    return bleu


def _claim(output: Path) -> None:
    """Mark the folder as the demonstration's, unless it is somebody else's."""
    if output.exists() and not output.is_dir():
        raise InputError(f"{output}: is a file, a folder is wanted")
    if output.is_dir() and any(output.iterdir()) and not (output / _MARK).is_file():
        raise InputError(f"{output} is not empty and no earlier demonstration: name another folder with --output")
    output.mkdir(parents=True, exist_ok=True)
    (output / _MARK).touch()


def _write_corpus(folder: Path, language: str) -> list[AlignedPair]:
    """Write the splits, of a language and English, as text files and return the test set."""
    tell(f"Generating {_LANGUAGES[language]}-English sentences into {folder}", stream=sys.stdout)
    folder.mkdir(parents=True, exist_ok=True)
    for split in ("train", "validation", "test"):
        pairs = embedded_corpus(language, "en", size=_SIZES[split], split=split, max_words=_MAX_WORDS)
        for suffix, side in ((language, "source"), ("en", "target")):
            write_lines(folder / f"{split}.{suffix}", [getattr(pair, side) for pair in pairs])
    write_lines(folder / "test.align", [pharaoh_line(pair.alignment) for pair in pairs])
    return pairs


def _train(
    corpus: Path, language: str, folder: Path, name: str, minutes: float, settings: dict[str, Any]
) -> Translator:
    tell(f"Training {_LANGUAGES[language]}-English {name} for {minutes:g} minutes", stream=sys.stdout)
    sizes = {"source_size": 128, "target_size": 128, "encoder_hidden_size": 128, "decoder_hidden_size": 192}
    files = f"train.{language}", "train.en", f"validation.{language}", "validation.en"
    train(
        DataConfig(*files, folder=str(corpus), batch_tokens=400),
        VocabularyConfig(kind="words", size=4000, joint=False),
        sizes | settings,
        OptimizationConfig(learning_rate=5e-3, warmup_steps=50, label_smoothing=0.0),
        TrainingConfig(output=str(folder), max_minutes=minutes, overwrite=True),
    )
    return Translator.load(folder)


def _bleu(test: Sequence[AlignedPair], translations: Sequence[Translation]) -> tuple[float, float]:
    """Return BLEU of the whole test set and of the third with the longest sources."""
    by_length = sorted(range(len(test)), key=lambda place: len(test[place].source_words))
    longest = by_length[-len(by_length) // 3 :]
    whole, third = (
        score([translations[place].text for place in places], [test[place].target for place in places]).bleu
        for places in (range(len(test)), longest)
    )
    return whole, third


def _alignment_quality(translator: Translator, test: Sequence[AlignedPair]) -> AlignmentQuality:
    """Compare the attention of the test pairs with the grammar's links."""
    given = attend_to_given(translator, [(pair.source, pair.target) for pair in test])
    found = [links(attention_of_words(one, "signs")) for one in given]
    return alignment_quality(found, [GoldAlignment(frozenset(one.alignment), frozenset(one.alignment)) for one in test])


def _by_length(test: Sequence[AlignedPair], found: dict[str, list[Translation]], path: Path) -> str:
    """Draw BLEU by source length and return its table."""
    sources, references = [pair.source for pair in test], [pair.target for pair in test]
    scores = {
        name: bleu_by_length(sources, [one.text for one in translations], references, width=_LENGTH_WIDTH)
        for name, translations in found.items()
    }
    picture = draw_bleu_by_length(scores, path)
    return f"BLEU by source length: {picture}\n{length_table(scores)}"


def _print_samples(test: Sequence[AlignedPair], found: dict[str, list[Translation]]) -> None:
    print("\nSample translations of test sentences:")
    for place, pair in enumerate(test[:_SAMPLES]):
        rows = {"source": pair.source, "reference": pair.target}
        rows |= {name: translations[place].text for name, translations in found.items()}
        print("".join(f"  {name:18} {text}\n" for name, text in rows.items()))


def _draw(translations: Sequence[Translation], path: Path) -> Path:
    drawn = [
        Alignment(_words(one.source_pieces), _words(one.target_pieces), one.weights)
        for one in translations
        if one.weights is not None and 10 <= len(one.source_pieces) <= 16
    ]
    return draw_alignments(drawn[:_PICTURES], path)


def _words(pieces: list[str]) -> list[str]:
    return [piece.removeprefix("▁") for piece in pieces]
