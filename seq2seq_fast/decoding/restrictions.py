"""Which pieces a search may choose: a forced beginning, no end before a length, no repeated n-gram."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from seq2seq_fast.decoding.hypothesis import SearchLimits


class Restrictions:
    """What the translations of a batch must keep to.

    At position t of a translation, from 0:

    - while its prefix has a piece for t, that piece alone is allowed;
    - behind the prefix, the end piece is not allowed while t is less than ``limits.shortest``;
    - no other piece is allowed that would complete an n-gram which the translation already has. n-grams of the prefix
      count. The end piece completes none.

    Where this leaves nothing, the end piece is allowed.

    Args:
        limits: the lengths.
        eos_id: the end piece.
        no_repeat_ngram: n; 0 allows every repetition.
        prefixes: for each source the pieces that its translation begins with; None forces none.
    """

    def __init__(
        self,
        limits: SearchLimits,
        eos_id: int,
        *,
        no_repeat_ngram: int = 0,
        prefixes: Sequence[Sequence[int]] | None = None,
    ) -> None:
        self._limits, self._eos_id, self._ngram = limits, eos_id, no_repeat_ngram
        self._prefixes = prefixes if prefixes is not None and any(prefixes) else None

    def most(self, lengths: Tensor) -> Tensor:
        """Return the most pieces, int64 [B], for source lengths [B]; a prefix is never cut."""
        most = self._limits.most(lengths)
        if self._prefixes is None:
            return most
        return most.maximum(most.new_tensor([len(prefix) for prefix in self._prefixes]))

    def apply(self, log_probabilities: Tensor, tokens: Tensor, rows: Sequence[int] | Tensor) -> Tensor:
        """Return the log probabilities with -inf for what is not allowed; the others keep theirs.

        Args:
            log_probabilities: [B, K, V] of the next piece.
            tokens: int64 [B, K, t], the pieces so far.
            rows: of each of the B translations its place in the batch that the search began with.
        """
        position = tokens.shape[2]
        too_short = position < self._limits.shortest
        if not (too_short or self._prefixes or 0 < self._ngram <= position):
            return log_probabilities
        restricted = log_probabilities.clone()
        if 0 < self._ngram <= position:
            end = log_probabilities[..., self._eos_id]
            restricted = restricted.masked_fill(_repeating(tokens, self._ngram, restricted.shape[2]), float("-inf"))
            restricted[..., self._eos_id] = end
        if too_short:
            restricted[..., self._eos_id] = float("-inf")
            stuck = (restricted == float("-inf")).all(dim=2)
            restricted[..., self._eos_id].masked_scatter_(stuck, log_probabilities[..., self._eos_id][stuck])
        if self._prefixes is not None:
            self._force(restricted, log_probabilities, position, rows)
        return restricted

    def _force(
        self, restricted: Tensor, log_probabilities: Tensor, position: int, rows: Sequence[int] | Tensor
    ) -> None:
        assert self._prefixes is not None
        rows = rows.tolist() if isinstance(rows, Tensor) else rows
        forced = [(place, self._prefixes[row]) for place, row in enumerate(rows) if position < len(self._prefixes[row])]
        if not forced:
            return
        places = torch.tensor([place for place, _ in forced], device=restricted.device)
        pieces = torch.tensor([prefix[position] for _, prefix in forced], device=restricted.device)
        restricted[places] = float("-inf")
        restricted[places, :, pieces] = log_probabilities[places, :, pieces]


def _repeating(tokens: Tensor, size: int, vocabulary: int) -> Tensor:
    """Which pieces would repeat an n-gram of that size: bool [B, K, V] for tokens [B, K, t], t at least n."""
    ngrams = tokens.unfold(2, size, 1)
    last = tokens[:, :, tokens.shape[2] - size + 1 :].unsqueeze(2)
    repeated = (ngrams[..., :-1] == last).all(dim=3)
    # Where nothing repeats, the piece goes into a column that is cut off.
    pieces = ngrams[..., -1].masked_fill(~repeated, vocabulary)
    banned = torch.zeros(*tokens.shape[:2], vocabulary + 1, dtype=torch.bool, device=tokens.device)
    return banned.scatter_(2, pieces, True)[..., :vocabulary]
