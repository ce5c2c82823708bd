"""The attention of given sentence pairs: the target is forced, in one pass over all its positions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from seq2seq_fast.data import InputError, TokenBudgetSampler, pad
from seq2seq_fast.decoding.ensemble import Ensemble, has_attention
from seq2seq_fast.decoding.sentence_lengths import check_lengths
from seq2seq_fast.decoding.translator import SearchConfig, Translator


class PieceAttention(NamedTuple):
    """The attention of a pair.

    Attributes:
        source: the text of the source's pieces, without the end piece. target: that of the target's.
        weights: [len(target), len(source) + 1]; the last column is of the source's end piece.
    """

    source: list[str]
    target: list[str]
    weights: Tensor


@torch.inference_mode()
def attend_to_given(
    translator: Translator,
    pairs: Sequence[tuple[str, str]],
    *,
    batch_tokens: int = SearchConfig.batch_tokens,
    max_length: int = SearchConfig.max_source_length,
    origins: tuple[str, str] = ("source", "target"),
) -> list[PieceAttention]:
    """Return the attention of each pair (source, target), in their order.

    Args:
        translator: a model with attention.
        pairs: text; where either side is empty there are no weights.
        batch_tokens: the most tokens of a batch, padding included.
        max_length: the most pieces of either side: time and memory grow with the product of both.
        origins: what an error calls a sentence of either side.

    Raises:
        InputError: the translator is an ensemble or has no attention, or a sentence is too long.
    """
    model, source_side, target_side = translator.model, translator.source_vocabulary, translator.target_vocabulary
    if isinstance(model, Ensemble) or not has_attention(model):
        raise InputError("the attention of given pairs needs one model with attention, no ensemble")
    encoded = [(source_side.encode(source), target_side.encode(target)) for source, target in pairs]
    for side, origin in enumerate(origins):
        check_lengths((pair[side] for pair in encoded), max_length, (origin, 1))
    found = [PieceAttention([], [], torch.zeros(0, 1)) for _ in pairs]
    places = [place for place, (source, target) in enumerate(encoded) if source and target]
    sources = [[*encoded[place][0], source_side.eos_id] for place in places]
    inputs = [[target_side.bos_id, *encoded[place][1]] for place in places]
    lengths = [(len(source), len(target)) for source, target in zip(sources, inputs, strict=True)]
    device = next(model.parameters()).device
    for batch in TokenBudgetSampler(lengths, batch_tokens, shuffle=False):
        source, source_lengths = pad([sources[index] for index in batch], source_side.pad_id)
        target, _ = pad([inputs[index] for index in batch], target_side.pad_id)
        output = model(source.to(device), source_lengths.to(device), target.to(device))
        for index, weights in zip(batch, output.weights.float().cpu(), strict=True):
            source_text, target_text = pairs[places[index]]
            found[places[index]] = PieceAttention(
                source_side.segment(source_text),
                target_side.segment(target_text),
                weights[: len(inputs[index]) - 1, : len(sources[index])].clone(),
            )
    return found
