"""References as sacreBLEU takes them."""

from __future__ import annotations

from collections.abc import Sequence

from seq2seq_fast.data.errors import InputError

References = Sequence[str] | Sequence[Sequence[str]]


def several(references: References) -> list[Sequence[str]]:
    """Return one reference a sentence, or several, as several: [references][sentences]."""
    if not references or isinstance(references[0], str):
        return [references]  # type: ignore[list-item]
    return list(references)  # type: ignore[arg-type]


def for_sacrebleu(hypotheses: Sequence[str], references: References) -> list[list[str | None]]:
    """Check that there are as many references as translations, and return them for sacreBLEU.

    An empty line beside other references of its sentence is no reference.

    Raises:
        InputError: there is no translation, or another number of references.
    """
    sets = several(references)
    for one in sets:
        if len(hypotheses) != len(one):
            raise InputError(f"there are {len(hypotheses):,} translations but {len(one):,} references")
    if not hypotheses:
        raise InputError("there is no translation to score")
    some = [any(lines) for lines in zip(*sets, strict=True)]
    first = [list(one) for one in sets]
    return [[line if line or not known else None for line, known in zip(one, some, strict=True)] for one in first]
