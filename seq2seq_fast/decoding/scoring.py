"""The log probability of given translations: the target is forced, as in training."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from seq2seq_fast.data import TokenBudgetSampler, pad
from seq2seq_fast.decoding.ensemble import Ensemble
from seq2seq_fast.decoding.memory import OutOfMemory, in_parts
from seq2seq_fast.decoding.search_config import SearchConfig
from seq2seq_fast.decoding.sentence_lengths import SentenceError, check_lengths
from seq2seq_fast.decoding.translator import Translator
from seq2seq_fast.progress import tell

# Of so many positions at a time the log probabilities of the whole vocabulary are in memory.
_POSITIONS = 1024
Origin = Callable[[int, int], tuple[str, int]]


class GivenScore(NamedTuple):
    """What a model gives a translation.

    Attributes:
        pieces: of the translation, without the end piece.
        log_probabilities: of each piece, given the source and the pieces before it, and of the end behind them. Where
            source and translation are both empty there is nothing to score: no piece and no end.
    """

    pieces: list[str]
    log_probabilities: list[float]

    @property
    def log_probability(self) -> float:
        """Of the translation: the sum over its pieces and its end."""
        return math.fsum(self.log_probabilities)


def perplexity(log_probability: float, count: int) -> float:
    """Return ``exp(-log P / n)`` for n pieces, ends included; 1 where there is none, infinity beyond all floats."""
    try:
        return math.exp(-log_probability / count) if count else 1.0
    except OverflowError:
        return math.inf


def score_given(
    translator: Translator,
    pairs: Sequence[tuple[str, str]],
    *,
    batch_tokens: int = SearchConfig.batch_tokens,
    max_length: int = SearchConfig.max_source_length,
    long: Literal["refuse", "cut", "skip"] = "refuse",
    told: Callable[[int], None] | None = None,
    origin: Origin = lambda place, side: (("source", "target")[side], place + 1),
) -> Iterator[GivenScore | None]:
    """Yield what the model gives each pair (source, translation), in their order.

    An ensemble averages what its members give each piece, as it does in a search. Whatever stops it, the pairs before
    have been yielded.

    Args:
        translator: a model or an ensemble.
        pairs: text.
        batch_tokens: the most tokens of a batch, padding included.
        max_length: the most pieces of either side.
        long: what to do with a pair of which a side is longer: "refuse" raises an error; "cut" scores the first pieces
            of that side; "skip" yields None. The last two are told on standard error.
        told: hears, again and again, how many more pairs are done.
        origin: from a pair's place and the side (0 the source, 1 the translation) to what an error calls it, a name
            and a number.

    Raises:
        SentenceError: a side is too long, or the memory too small for one pair.
    """
    encoded = [
        (translator.source_vocabulary.encode(source), translator.target_vocabulary.encode(target))
        for source, target in pairs
    ]
    encoded, skipped, stopped = _fitting(encoded, max_length, long, origin)
    places = [place for place, pair in enumerate(encoded) if place not in skipped and any(pair)]
    found: list[GivenScore | None] = [None if place in skipped else GivenScore([], []) for place in range(len(encoded))]
    if told is not None:
        told(len(encoded) - len(places))
    rows = [encoded[place] for place in places]
    lengths = [(len(source) + 1, len(target) + 1) for source, target in rows]
    for batch in TokenBudgetSampler(lengths, batch_tokens, shuffle=False):
        chosen = [rows[index] for index in batch]
        try:
            scores = in_parts(lambda part, chosen=chosen: _forced(translator, chosen[part]), len(chosen))  # type: ignore[misc]
        except OutOfMemory as error:
            place = places[batch[error.place]]
            name, number = origin(place, 0)
            raise SentenceError(
                f"{name} {number:,}: the memory is too small for its {len(encoded[place][0]):,} pieces and "
                f"the {len(encoded[place][1]):,} of its translation: take it out, or split both",
                place,
                too_long=True,
            ) from error
        for index, log_probabilities in zip(batch, scores, strict=True):
            pieces = translator.target_vocabulary.pieces(rows[index][1])
            found[places[index]] = GivenScore(pieces, log_probabilities)
        if told is not None:
            told(len(batch))
    yield from found
    if stopped is not None:
        raise stopped


def _fitting(
    encoded: list[tuple[list[int], list[int]]], most: int, long: str, origin: Origin
) -> tuple[list[tuple[list[int], list[int]]], set[int], SentenceError | None]:
    """Return the pairs before one that is refused, cut where asked; the places to skip; and the error of that one."""
    fitting: list[tuple[list[int], list[int]]] = []
    skipped: set[int] = set()
    for place, (source, target) in enumerate(encoded):
        for side, ids in enumerate((source, target)):
            name, number = origin(place, side)
            try:
                check_lengths([ids], most, (name, number))
            except SentenceError as error:
                if long == "refuse":
                    return fitting, skipped, error
                if long == "skip":
                    skipped.add(place)
                done = "not scored" if long == "skip" else f"scored by its first {most:,} pieces"
                tell(f"seq2seq-fast: warning: {name} {number:,} is too long, with {len(ids):,} pieces: {done}")
        fitting.append((source[:most], target[:most]))
    return fitting, skipped, None


@torch.inference_mode()
def _forced(translator: Translator, pairs: Sequence[tuple[list[int], list[int]]]) -> list[list[float]]:
    """Return the log probabilities of the target's pieces and its end for each pair of piece numbers."""
    model, source_side, target_side = translator.model, translator.source_vocabulary, translator.target_vocabulary
    device = next(model.parameters()).device
    source, source_lengths = pad([[*source, source_side.eos_id] for source, _ in pairs], source_side.pad_id)
    inputs, counts = pad([[target_side.bos_id, *target] for _, target in pairs], target_side.pad_id)
    outputs = torch.tensor([piece for _, target in pairs for piece in [*target, target_side.eos_id]], device=device)
    real = torch.arange(inputs.shape[1], device=device) < counts.to(device).unsqueeze(1)
    given = (source.to(device), source_lengths.to(device), inputs.to(device))
    members: list[Any] = list(model.models) if isinstance(model, Ensemble) else [model]
    # [N, R] of each member: the positions that are no padding.
    readouts = [member(*given, need_weights=False).readout[real] for member in members]
    found = []
    for begin in range(0, len(outputs), _POSITIONS):
        part = slice(begin, begin + _POSITIONS)
        logits = [member.logits(readout[part]) for member, readout in zip(members, readouts, strict=True)]
        mean: Tensor = model.mean(logits) if isinstance(model, Ensemble) else logits[0].float().log_softmax(-1)
        found.append(mean.gather(1, outputs[part].unsqueeze(1)).squeeze(1))
    return [one.tolist() for one in torch.cat(found).split(counts.tolist())]
