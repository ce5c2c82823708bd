"""Translations drawn at random."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from torch import Tensor


class Sampler:
    """Draws pieces from what a model gives them, for `greedy_search`.

    The distribution is ``softmax(log p / temperature)`` over the pieces that are left by top-k (Fan et al. 2018,
    "Hierarchical Neural Story Generation") and then by top-p (Holtzman et al. 2020, "The Curious Case of Neural Text
    Degeneration"). Each translation has random numbers of its own, one a position, so that it does not depend on what
    else is in its batch (but for the rounding of what the model gives).

    Args:
        keys: of each translation of the batch, what its random numbers follow from; the same key gives the same ones.
        temperature: above 0; below 1 favours what is probable, above 1 flattens.
        top_k: only so many of the most probable pieces; 0 takes all.
        top_p: only the most probable pieces that together have at least this probability, from above 0 to 1.

    Raises:
        ValueError: a setting is out of range.
    """

    def __init__(self, keys: Sequence[str], *, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0) -> None:
        if not (temperature > 0 and top_k >= 0 and 0 < top_p <= 1):
            raise ValueError(
                "temperature must be above 0, top_k at least 0 and top_p above 0 and at most 1; got "
                f"temperature={temperature}, top_k={top_k}, top_p={top_p}"
            )
        self._sources = [random.Random(key) for key in keys]
        self._temperature, self._top_k, self._top_p = temperature, top_k, top_p

    def __call__(self, log_probabilities: Tensor, rows: Tensor) -> Tensor:
        """Draw the next piece of some translations.

        Args:
            log_probabilities: [N, V]; -inf where a piece is not allowed.
            rows: int64 [N], the translations' places in the batch.

        Returns:
            int64 [N].
        """
        drawn = [self._sources[row].getrandbits(32) / 2**32 for row in rows.tolist()]
        sums = self.distribution(log_probabilities).cumsum(dim=-1)
        # Of the total, which is 1 but for rounding; the first piece whose sum is above what was drawn.
        drawn_sums = torch.tensor(drawn, dtype=sums.dtype).to(sums.device) * sums[:, -1]
        return torch.searchsorted(sums, drawn_sums.unsqueeze(1), right=True).squeeze(1)

    def distribution(self, log_probabilities: Tensor) -> Tensor:
        """Return the probabilities [N, V], float64, with which pieces are drawn."""
        # The largest first: with a small temperature the others would leave the range of numbers.
        shifted = log_probabilities.double() - log_probabilities.double().amax(dim=-1, keepdim=True)
        logits = shifted / self._temperature
        if 0 < self._top_k < logits.shape[-1]:
            kept = logits.topk(self._top_k, dim=-1).indices
            logits = torch.full_like(logits, float("-inf")).scatter(-1, kept, logits.gather(-1, kept))
        probabilities = logits.softmax(dim=-1)
        if self._top_p < 1:
            ranked, order = probabilities.sort(dim=-1, descending=True, stable=True)
            beyond = ranked.cumsum(dim=-1) - ranked >= self._top_p
            probabilities = torch.zeros_like(ranked).scatter(-1, order, ranked.masked_fill(beyond, 0.0))
            probabilities = probabilities / probabilities.sum(dim=-1, keepdim=True)
        return probabilities
