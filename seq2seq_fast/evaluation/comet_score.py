"""COMET (Rei et al. 2020, "COMET: A Neural Framework for MT Evaluation"), where its package is installed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from seq2seq_fast.data.errors import InputError
from seq2seq_fast.evaluation.references import References, several


def load_comet(model: str) -> Any:
    """Load a COMET model.

    Args:
        model: a checkpoint's file, or the name of a published model, such as Unbabel/wmt22-comet-da, to be downloaded.

    Raises:
        InputError: the package is not installed, or the model cannot be loaded.
    """
    try:
        comet: Any = import_module("comet")
    except ImportError as error:
        raise InputError(f"COMET cannot be loaded ({error}); it needs: pip install unbabel-comet") from None
    try:
        path = model if os.path.isfile(model) else comet.download_model(model)
        return comet.load_from_checkpoint(path)
    except Exception as error:  # whatever a missing network, a licence not accepted or a broken file makes it raise
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"COMET {model}: the model cannot be loaded ({reason})") from error


def comet_score(
    model: Any,
    sources: Sequence[str],
    hypotheses: Sequence[str],
    references: References,
    *,
    batch_size: int = 8,
    gpus: int = 0,
) -> float:
    """Return a COMET model's score of all translations; the mean over the references where there are several.

    Raises:
        InputError: the model cannot score them.
    """
    scores = []
    for lines in several(references):
        data = [
            {"src": source, "mt": hypothesis, "ref": reference}
            for source, hypothesis, reference in zip(sources, hypotheses, lines, strict=True)
        ]
        try:
            scores.append(float(model.predict(data, batch_size=batch_size, gpus=gpus, progress_bar=False).system_score))
        except Exception as error:  # whatever the model's libraries raise
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise InputError(f"COMET cannot score the translations ({reason})") from error
    return sum(scores) / len(scores)
