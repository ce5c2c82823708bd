"""The demonstration: a translator in about a minute, on a corpus that the project generates."""

from __future__ import annotations

import time
from pathlib import Path

from seq2seq_fast.data.grammar import AlignedPair, embedded_corpus
from seq2seq_fast.decoding import SearchConfig, Translator
from seq2seq_fast.evaluation import score
from seq2seq_fast.training import DataConfig, OptimizationConfig, TrainingConfig, VocabularyConfig
from seq2seq_fast.training.run import train
from seq2seq_fast.visualization import draw_alignments
from seq2seq_fast.visualization.alignment import Alignment

_SIZES = {"train": 15_000, "validation": 200, "test": 500}
_MAX_WORDS = 14
_SAMPLES = 5


def run_demo(output: str | Path, minutes: float) -> float:
    """Generate a German-English corpus, train, and print test BLEU, translations and the path of a picture.

    Args:
        output: folder for the corpus, the model and the picture; what an earlier demonstration wrote is replaced.
        minutes: time for the training itself.

    Returns:
        BLEU of the test set.
    """
    output = Path(output)
    started = time.perf_counter()
    print(f"Generating German-English sentences into {output / 'corpus'}", flush=True)
    test = _write_corpus(output / "corpus")
    print(f"Training for {minutes:g} minutes", flush=True)
    train(
        DataConfig(
            "train.de", "train.en", "validation.de", "validation.en", folder=str(output / "corpus"), batch_tokens=400
        ),
        VocabularyConfig(kind="words", size=4000, joint=False),
        {"source_size": 128, "target_size": 128, "encoder_hidden_size": 128, "decoder_hidden_size": 192},
        OptimizationConfig(learning_rate=5e-3, warmup_steps=50, label_smoothing=0.0),
        TrainingConfig(output=str(output / "model"), max_minutes=minutes, overwrite=True),
    )
    translator = Translator.load(output / "model")
    found = translator.search([pair.source for pair in test], SearchConfig(beam_size=1), need_weights=True)
    hypotheses = [translations[0] for translations in found]
    bleu = score([hypothesis.text for hypothesis in hypotheses], [pair.target for pair in test]).bleu
    print("\nSample translations of test sentences:")
    for pair, hypothesis in list(zip(test, hypotheses, strict=True))[:_SAMPLES]:
        print(f"  source       {pair.source}\n  translation  {hypothesis.text}\n  reference    {pair.target}\n")
    picture = draw_alignments(
        [
            Alignment(_words(one.source_pieces), _words(one.target_pieces), one.weights)
            for one in hypotheses
            if one.weights is not None and 10 <= len(one.source_pieces) <= 16
        ][:4],
        output / "attention.png",
    )
    print(f"test BLEU with attention: {bleu:.2f}")
    print(f"attention of four sentences: {picture}")
    print(f"{time.perf_counter() - started:.0f} seconds in all")
    return bleu


def _write_corpus(folder: Path) -> list[AlignedPair]:
    """Write the splits as text files and return the test set."""
    folder.mkdir(parents=True, exist_ok=True)
    for split in ("train", "validation", "test"):
        pairs = embedded_corpus("de", "en", size=_SIZES[split], split=split, max_words=_MAX_WORDS)
        for language, side in (("de", "source"), ("en", "target")):
            text = "".join(f"{getattr(pair, side)}\n" for pair in pairs)
            (folder / f"{split}.{language}").write_text(text, encoding="utf-8")
    return pairs


def _words(pieces: list[str]) -> list[str]:
    return [piece.removeprefix("▁") for piece in pieces]
