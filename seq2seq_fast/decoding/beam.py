"""Batched beam search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from seq2seq_fast.decoding.hypothesis import Hypothesis, SearchLimits, start
from seq2seq_fast.decoding.restrictions import Restrictions
from seq2seq_fast.decoding.search_step import SearchStep


def penalty_of(length: float, alpha: float) -> float:
    """Return ``((5 + length) / 6) ** alpha`` (Wu et al. 2016, "Google's Neural Machine Translation System", eq. 14)."""
    return ((5.0 + length) / 6.0) ** alpha


def coverage_of(attended: Tensor) -> Tensor:
    """Return ``sum_i log(min(sum_j p_ij, 1))`` (the same, eq. 14) over the source positions i.

    Args:
        attended: [..., Tx], the weights p_ij that each source position has got from all pieces j; nothing at all counts
            as the smallest number that there is, so that the sum stays finite.
    """
    return attended.clamp(torch.finfo(attended.dtype).tiny, 1.0).log().sum(dim=-1)


@torch.inference_mode()
def beam_search(
    model: Any,
    source: Tensor,
    lengths: Tensor,
    *,
    bos_id: int,
    eos_id: int,
    beam_size: int = 5,
    length_penalty: float = 1.0,
    coverage_penalty: float = 0.0,
    patience: float = 0.0,
    n_best: int = 1,
    limits: SearchLimits | None = None,
    no_repeat_ngram: int = 0,
    prefixes: Sequence[Sequence[int]] | None = None,
    need_weights: bool = False,
    graphs: bool = True,
) -> list[list[Hypothesis]]:
    """Translate a batch, keeping the ``beam_size`` most probable beginnings of each translation.

    The beams of a source are queries on its one memory: its keys and values are never repeated. Of the candidates for
    the next position, those that end and are among the ``beam_size`` best are kept as finished, with the score
    ``log P / penalty_of(length, alpha) + beta coverage_of(attended)``; the search for a source is over when no beam's
    log probability, over the penalty of its length so far, beats its ``n_best`` finished ones, or at the longest
    output. With ``length_penalty`` 0 or ``patience`` 1 no translation that the beam could still reach would be better.

    Args:
        model, source, lengths, bos_id, eos_id, limits, no_repeat_ngram, prefixes, need_weights, graphs: as in
            `greedy_search`.
        beam_size: K, at least 1; 1 gives what `greedy_search` gives, without a coverage penalty.
        length_penalty: the exponent alpha; 0 compares log probabilities, which favours short translations.
        coverage_penalty: the factor beta on what the attention has left out of the source; 0 does without.
        patience: from 0 to 1, which share of the way from its length so far to the longest output a beam is trusted to
            grow without losing probability; 0 ends the search soonest.
        n_best: how many hypotheses to return for each source, at most ``beam_size``.

    Returns:
        For each source its hypotheses, best score first.

    Raises:
        ValueError: ``beam_size``, ``n_best`` or ``patience`` is out of range, or there is no attention for a coverage
            penalty.
    """
    if not 1 <= n_best <= beam_size:
        raise ValueError(f"n_best must lie between 1 and beam_size; got n_best={n_best}, beam_size={beam_size}")
    if not 0 <= patience <= 1:
        raise ValueError(f"patience must lie between 0 and 1; got {patience}")
    if source.shape[0] == 0:
        return []
    restrictions = Restrictions(limits or SearchLimits(), eos_id, no_repeat_ngram=no_repeat_ngram, prefixes=prefixes)
    step = SearchStep(model, source.device, graphs=graphs)
    source = step.pad(source)
    search = _Beams(
        source,
        lengths,
        restrictions,
        beam_size,
        length_penalty,
        coverage_penalty,
        patience,
        n_best,
        eos_id,
        need_weights,
    )
    state = start(model, source, lengths).expand(beam_size)
    tokens = torch.full((source.shape[0], beam_size), bos_id, device=source.device)
    while True:
        next_piece, state, weights = step(tokens, state, need_weights=need_weights or coverage_penalty != 0)
        if weights is None and coverage_penalty != 0:
            raise ValueError("a coverage penalty needs a model with attention; this one has none")
        parents, tokens = search.advance(next_piece, weights)
        state = state.reorder(parents)
        kept = search.drop_finished(step.drop_worth_it)
        if kept is not None:
            state, tokens = state.select(kept), tokens[kept]
        if search.done:
            return [[_hypothesis(found) for found in best] for best in search.finished]


def _hypothesis(found: Hypothesis) -> Hypothesis:
    # A clone frees the whole batch's history, of which it is a slice.
    return found if found.weights is None else found._replace(weights=found.weights.clone())


class _Beams:
    """The beams of the sources that are still searched, and what has been finished of all."""

    def __init__(
        self,
        source: Tensor,
        lengths: Tensor,
        restrictions: Restrictions,
        beam_size: int,
        alpha: float,
        beta: float,
        patience: float,
        n_best: int,
        eos_id: int,
        keep_weights: bool,
    ) -> None:
        batch = source.shape[0]
        self.finished: list[list[Hypothesis]] = [[] for _ in range(batch)]
        self._restrictions = restrictions
        self._lengths, self._most = lengths.tolist(), restrictions.most(lengths).tolist()
        self._beam_size, self._alpha, self._beta, self._n_best, self._eos_id = beam_size, alpha, beta, n_best, eos_id
        self._patience, self._keep_weights = patience, keep_weights
        self._rows = list(range(batch))
        self._active = [True] * batch
        # All beams of a source begin alike: only the first may give candidates at the first position.
        self._scores = torch.full((batch, beam_size), float("-inf"), device=source.device)
        self._scores[:, 0] = 0.0
        self._tokens = torch.zeros(batch, beam_size, 0, dtype=torch.int64, device=source.device)
        self._weights: Tensor | None = None
        # What each position of the source has got of the attention; 1 in padding, whose coverage then counts nothing.
        self._attended: Tensor | None = None
        if beta != 0:
            outside = torch.arange(source.shape[1], device=source.device) >= lengths.to(source.device).unsqueeze(1)
            self._attended = outside.float().unsqueeze(1).expand(-1, beam_size, -1)

    @property
    def done(self) -> bool:
        return not any(self._active)

    def advance(self, log_probabilities: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
        """Choose the next piece of each beam.

        Args:
            log_probabilities: [B, K, V] of the next piece. weights: [B, K, Tx] or None.

        Returns:
            parents and pieces, int64 [B, K]: beam k goes on from the old beam ``parents[b, k]`` with ``pieces[b, k]``.
        """
        size, vocabulary = self._beam_size, log_probabilities.shape[2]
        log_probabilities = self._restrictions.apply(log_probabilities, self._tokens, self._rows)
        totals = (self._scores.unsqueeze(2) + log_probabilities).flatten(1)
        scores, index = totals.topk(min(2 * size, totals.shape[1]), dim=1)
        parents, pieces = index // vocabulary, index % vocabulary
        self._remember(weights)
        ends = pieces == self._eos_id
        self._finish(scores, parents, ends)
        # Of two candidates a beam at most one ends, so as many as there are beams go on; sort is stable.
        going_on = ends.to(torch.int8).sort(dim=1, stable=True).indices[:, :size]
        self._scores, parents, pieces = (part.gather(1, going_on) for part in (scores, parents, pieces))
        self._scores = self._scores.masked_fill(pieces == self._eos_id, float("-inf"))
        self._tokens = torch.cat([_pick(self._tokens, parents), pieces.unsqueeze(2)], dim=2)
        self._attended = None if self._attended is None else _pick(self._attended, parents)
        self._weights = None if self._weights is None else _pick(self._weights, parents)
        self._close()
        return parents, pieces

    def drop_finished(self, worth_it: Callable[[int, int], bool]) -> Tensor | None:
        """Return the places [N] of the sources that go on, having dropped the others; None where none is dropped."""
        places = [place for place, active in enumerate(self._active) if active]
        if not places or not worth_it(len(places), len(self._active)):
            return None
        kept = torch.tensor(places, device=self._scores.device)
        self._rows = [self._rows[place] for place in places]
        self._active = [True] * len(places)
        self._scores, self._tokens = self._scores[kept], self._tokens[kept]
        self._attended = None if self._attended is None else self._attended[kept]
        self._weights = None if self._weights is None else self._weights[kept]
        return kept

    def _remember(self, weights: Tensor | None) -> None:
        if weights is not None and self._attended is not None:
            self._attended = self._attended + weights.float()
        if weights is not None and self._keep_weights:
            step = weights.float().unsqueeze(2)
            self._weights = step if self._weights is None else torch.cat([self._weights, step], dim=2)

    def _finish(self, scores: Tensor, parents: Tensor, ends: Tensor) -> None:
        """Keep the candidates that end and are among the K best."""
        ending = (ends[:, : self._beam_size] & scores[:, : self._beam_size].isfinite()).nonzero().tolist()
        penalty = penalty_of(self._tokens.shape[2] + 1, self._alpha)
        for place, rank in ending:
            if self._active[place]:
                self._add(place, int(parents[place, rank]), float(scores[place, rank]), penalty)

    def _close(self) -> None:
        """End the search of the sources that cannot improve or are at their longest output."""
        length = self._tokens.shape[2]
        penalty = penalty_of(length, self._alpha)
        scores = self._scores.tolist()
        for place, row in enumerate(self._rows):
            if not self._active[place]:
                continue
            finished = self.finished[row]
            if length >= self._most[row]:
                for beam, score in enumerate(scores[place]):
                    if len(finished) < self._n_best and score > float("-inf"):
                        self._add(place, beam, score, penalty)
                self._active[place] = False
            elif max(scores[place]) == float("-inf"):
                self._active[place] = False
            elif len(finished) >= self._n_best:
                # No coverage is above 0, so none that is still to come can lift a beam above this.
                # The penalty that it is measured by: a longer translation divides by more.
                trusted = penalty_of(length + self._patience * (self._most[row] - length), self._alpha)
                self._active[place] = max(scores[place]) / trusted > finished[self._n_best - 1].score

    def _add(self, place: int, beam: int, log_probability: float, penalty: float) -> None:
        row = self._rows[place]
        tokens = self._tokens[place, beam].tolist()
        weights = None
        if self._weights is not None:
            weights = self._weights[place, beam, : len(tokens), : self._lengths[row]]
        score = log_probability / penalty
        if self._attended is not None:
            score += self._beta * float(coverage_of(self._attended[place, beam]))
        finished = self.finished[row]
        finished.append(Hypothesis(tokens, log_probability, score, weights))
        finished.sort(key=lambda found: -found.score)
        del finished[self._n_best :]


def _pick(history: Tensor, parents: Tensor) -> Tensor:
    """Return the history [B, K, ...] of each beam's parent."""
    index = parents.reshape(*parents.shape, *(1,) * (history.dim() - 2)).expand(-1, -1, *history.shape[2:])
    return history.gather(1, index)
