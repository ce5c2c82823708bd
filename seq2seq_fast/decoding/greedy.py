"""Greedy search: at each position the most probable piece, or one that is drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from seq2seq_fast.decoding.hypothesis import Hypothesis, SearchLimits, start
from seq2seq_fast.decoding.restrictions import Restrictions
from seq2seq_fast.decoding.search_step import SearchStep


@torch.inference_mode()
def greedy_search(
    model: Any,
    source: Tensor,
    lengths: Tensor,
    *,
    bos_id: int,
    eos_id: int,
    limits: SearchLimits | None = None,
    no_repeat_ngram: int = 0,
    prefixes: Sequence[Sequence[int]] | None = None,
    need_weights: bool = False,
    graphs: bool = True,
    choose: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> list[Hypothesis]:
    """Translate a batch, position by position; sentences that have ended leave it.

    Args:
        model: a `seq2seq_fast.nn.Seq2Seq` in evaluation mode, or an `Ensemble`.
        source: int64 [B, Tx], or features [B, Tx, F] where the model's encoder reads such; padded. lengths: int64 [B].
        bos_id, eos_id: begin and end piece of the target vocabulary.
        limits: the longest and the shortest outputs.
        no_repeat_ngram, prefixes: see `Restrictions`; what is forced or left over by them keeps its log probability.
        need_weights: whether the hypotheses carry their attention.
        graphs: whether a GPU may replay steps from CUDA graphs, see `SearchStep`.
        choose: returns the next pieces, int64 [N], of the log probabilities [N, V] of N translations (-inf where a
            piece is not allowed) and their places [N] in the batch; None takes the most probable. See `Sampler`.

    Returns:
        B hypotheses; the score is the log probability.
    """
    restrictions = Restrictions(limits or SearchLimits(), eos_id, no_repeat_ngram=no_repeat_ngram, prefixes=prefixes)
    most = restrictions.most(lengths)
    step = SearchStep(model, source.device, graphs=graphs)
    source = step.pad(source)
    batch, longest = source.shape[0], int(most.max()) if len(most) else 0
    state = start(model, source, lengths)
    tokens = torch.full((batch,), bos_id, device=source.device)
    outputs = torch.zeros(batch, longest, dtype=torch.int64, device=source.device)
    output_lengths = torch.zeros(batch, dtype=torch.int64, device=source.device)
    log_probabilities = torch.zeros(batch, device=source.device)
    attention = torch.zeros(batch, longest, source.shape[1], device=source.device) if need_weights else None
    rows = torch.arange(batch, device=source.device)
    active = torch.ones(batch, dtype=torch.bool, device=source.device)
    for position in range(longest):
        next_piece, state, weights = step(tokens, state, need_weights=need_weights)
        allowed = restrictions.apply(next_piece.unsqueeze(1), outputs[rows, None, :position], rows)
        if choose is None:
            best, tokens = allowed.squeeze(1).max(dim=-1)
        else:
            tokens = choose(allowed.squeeze(1), rows)
            best = allowed.squeeze(1).gather(1, tokens.unsqueeze(1)).squeeze(1)
        log_probabilities[rows] += best * active
        if attention is not None and weights is not None:
            attention[rows, position] = weights.float()
        active &= tokens != eos_id
        outputs[rows, position] = tokens
        output_lengths[rows] += active
        active &= most[rows] > position + 1
        count = int(active.sum())
        if count == 0:
            break
        if step.drop_worth_it(count, len(rows)):
            state, tokens, rows, active = state.select(active), tokens[active], rows[active], active[active]
    return [
        Hypothesis(
            outputs[b, :size].tolist(),
            log_probability,
            log_probability,
            None if attention is None else attention[b, :size, : int(lengths[b])],
        )
        for b, (size, log_probability) in enumerate(
            zip(output_lengths.tolist(), log_probabilities.tolist(), strict=True)
        )
    ]
