"""Whether translations are better than another system's, or by chance: sacreBLEU's paired tests (Koehn 2004,
"Statistical Significance Tests for Machine Translation Evaluation"; Riezler and Maxwell 2005, "On Some Pitfalls in
Automatic Evaluation and Significance Testing for MT")."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Literal

from sacrebleu.significance import PairedTest, Result

from seq2seq_fast.data.errors import InputError
from seq2seq_fast.evaluation.references import References, for_sacrebleu
from seq2seq_fast.evaluation.scores import metrics

PairedTestKind = Literal["bootstrap", "randomisation"]
_KINDS: dict[str, tuple[str, str]] = {
    "bootstrap": ("bs", "paired bootstrap resampling"),
    "randomisation": ("ar", "paired approximate randomisation"),
}


def check_seed() -> None:
    """Check the seed that sacreBLEU takes from the environment.

    Raises:
        InputError: it is none.
    """
    seed = os.environ.get("SACREBLEU_SEED", "12345")
    if seed.lower() != "none" and not (seed.isascii() and seed.isdigit()):
        raise InputError(
            f"SACREBLEU_SEED={seed:.60} is no seed: give a number from 0, or none for another one each time"
        )


def paired_test(
    systems: Mapping[str, Sequence[str]],
    references: References,
    kind: PairedTestKind = "bootstrap",
    *,
    samples: int = 1000,
    tokenize: str = "auto",
) -> dict[str, dict[str, Result]]:
    """Compare systems with the first of them.

    Args:
        systems: by name the translations of each, sentence by sentence; at least two.
        references, tokenize: as in `score`.
        kind: "bootstrap" draws test sets anew from the sentences; "randomisation" exchanges the translations of
            sentences between both systems.
        samples: how many draws or exchanges. Their seed is the environment's SACREBLEU_SEED, 12345 where it is not set.

    Returns:
        for BLEU and chrF2, by system, sacreBLEU's ``Result``: the score, and but for the first system the p value, the
        probability of so large a difference between systems that are equally good; by bootstrap also the mean of the
        draws and half the width of their 95% interval.

    Raises:
        InputError: there are not as many translations as references, or the seed is none.
    """
    check_seed()
    for hypotheses in systems.values():
        checked = for_sacrebleu(hypotheses, references)
    named = [(name, list(hypotheses)) for name, hypotheses in systems.items()]
    test = PairedTest(named, metrics(references, tokenize), checked, _KINDS[kind][0], samples)  # type: ignore[arg-type]
    _, results = test()
    names = results.pop("System")
    for first, *others in results.values():
        for one in others:
            # sacreBLEU counts the differences above the one that is tested; of none at all it would count none.
            if one.score == first.score:  # type: ignore[union-attr]
                one.p_value = 1.0  # type: ignore[union-attr]
    return {metric: dict(zip(names, found, strict=True)) for metric, found in results.items()}  # type: ignore[arg-type,misc]


def significance_table(results: dict[str, dict[str, Result]], kind: PairedTestKind, samples: int) -> str:
    """Return a table of what `paired_test` has found: a row for each system."""
    rows = [f"{_KINDS[kind][1]}, {samples:,} samples"]
    names = list(next(iter(results.values())))
    width = max(map(len, names))
    for place, name in enumerate(names):
        cells = [f"{name:<{width}}"]
        for metric, found in results.items():
            one = found[name]
            interval = f" ({one.mean:.2f} ± {one.ci:.2f})" if one.mean is not None else ""
            chance = f"  p {one.p_value:.4f}" if place and one.p_value is not None else ""
            cells.append(f"{metric} {one.score:.2f}{interval}{chance}")
        rows.append("  ".join(cells))
    return "\n".join(rows)
