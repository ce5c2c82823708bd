"""Batched beam search."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seq2seq_fast.decoding.hypothesis import Hypothesis, SearchLimits, drop_worth_it, start


def penalty_of(length: int, alpha: float) -> float:
    """Return ``((5 + length) / 6) ** alpha`` (Wu et al. 2016, "Google's Neural Machine Translation System", eq. 14)."""
    return ((5.0 + length) / 6.0) ** alpha


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
    n_best: int = 1,
    limits: SearchLimits | None = None,
    need_weights: bool = False,
) -> list[list[Hypothesis]]:
    """Translate a batch, keeping the ``beam_size`` most probable beginnings of each translation.

    The beams of a source are queries on its one memory: its keys and values are never repeated. Of the candidates for
    the next position, those that end and are among the ``beam_size`` best are kept as finished; the search for a source
    is over when no beam's log probability, over the penalty of its length so far, beats its ``n_best`` finished ones,
    or at the longest output. With ``length_penalty`` 0 no translation that the beam could still reach would be better.

    Args:
        model, source, lengths, bos_id, eos_id, limits, need_weights: as in `greedy_search`.
        beam_size: K, at least 1; 1 gives what `greedy_search` gives.
        length_penalty: the exponent alpha; 0 compares log probabilities, which favours short translations.
        n_best: how many hypotheses to return for each source, at most ``beam_size``.

    Returns:
        For each source its hypotheses, best score first.

    Raises:
        ValueError: ``beam_size`` or ``n_best`` is out of range.
    """
    if not 1 <= n_best <= beam_size:
        raise ValueError(f"n_best must lie between 1 and beam_size; got n_best={n_best}, beam_size={beam_size}")
    if source.shape[0] == 0:
        return []
    search = _Beams(
        source, lengths, (limits or SearchLimits()).most(lengths), beam_size, length_penalty, n_best, eos_id
    )
    state = start(model, source, lengths).expand(beam_size)
    tokens = source.new_full((source.shape[0], beam_size), bos_id)
    while True:
        logits, state, weights = model.step(tokens, state, need_weights=need_weights)
        parents, tokens = search.advance(torch.log_softmax(logits.float(), dim=-1), weights)
        state = state.reorder(parents)
        kept = search.drop_finished()
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
        self, source: Tensor, lengths: Tensor, most: Tensor, beam_size: int, alpha: float, n_best: int, eos_id: int
    ) -> None:
        batch = source.shape[0]
        self.finished: list[list[Hypothesis]] = [[] for _ in range(batch)]
        self._lengths, self._most = lengths.tolist(), most.tolist()
        self._beam_size, self._alpha, self._n_best, self._eos_id = beam_size, alpha, n_best, eos_id
        self._rows = list(range(batch))
        self._active = [True] * batch
        # All beams of a source begin alike: only the first may give candidates at the first position.
        self._scores = torch.full((batch, beam_size), float("-inf"), device=source.device)
        self._scores[:, 0] = 0.0
        self._tokens = source.new_zeros(batch, beam_size, 0)
        self._weights: Tensor | None = None

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
        self._weights = None if self._weights is None else _pick(self._weights, parents)
        self._close()
        return parents, pieces

    def drop_finished(self) -> Tensor | None:
        """Return the places [N] of the sources that go on, having dropped the others; None where none is dropped."""
        places = [place for place, active in enumerate(self._active) if active]
        if not places or not drop_worth_it(len(places), len(self._active)):
            return None
        kept = torch.tensor(places, device=self._scores.device)
        self._rows = [self._rows[place] for place in places]
        self._active = [True] * len(places)
        self._scores, self._tokens = self._scores[kept], self._tokens[kept]
        self._weights = None if self._weights is None else self._weights[kept]
        return kept

    def _remember(self, weights: Tensor | None) -> None:
        if weights is not None:
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
            elif len(finished) >= self._n_best:
                self._active[place] = max(scores[place]) / penalty > finished[self._n_best - 1].score

    def _add(self, place: int, beam: int, log_probability: float, penalty: float) -> None:
        row = self._rows[place]
        tokens = self._tokens[place, beam].tolist()
        weights = None
        if self._weights is not None:
            weights = self._weights[place, beam, : len(tokens), : self._lengths[row]]
        finished = self.finished[row]
        finished.append(Hypothesis(tokens, log_probability, log_probability / penalty, weights))
        finished.sort(key=lambda found: -found.score)
        del finished[self._n_best :]


def _pick(history: Tensor, parents: Tensor) -> Tensor:
    """Return the history [B, K, ...] of each beam's parent."""
    index = parents.reshape(*parents.shape, *(1,) * (history.dim() - 2)).expand(-1, -1, *history.shape[2:])
    return history.gather(1, index)
