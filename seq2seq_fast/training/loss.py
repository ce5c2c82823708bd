"""The losses: of the vocabulary projection, and of the attention where alignments are known."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seq2seq_fast.nn.modules import is_plain

# In torch 2.13 on 2 CPU cores, forward and backward of 1,100 positions, 256 units and 6,000 pieces with smoothing:
# cross_entropy(linear) 143 ms, linear_cross_entropy 148 ms (noise: it is the same computation). Its chunks, which
# ``options`` turns on, take 232 ms against 98 without smoothing and do not take smoothing at all, so they stay off.
_linear_cross_entropy = getattr(F, "linear_cross_entropy", None)


def vocabulary_loss(
    readout: Tensor, projection: nn.Linear, target: Tensor, *, pad_id: int, label_smoothing: float = 0.0
) -> Tensor:
    """Return the mean cross entropy of the target pieces, padding left out.

    With smoothing eps the target distribution is ``(1 - eps) onehot + eps / V`` (Szegedy et al. 2016).

    Args:
        readout: [B, Ty, R].
        projection: from R to V.
        target: int64 [B, Ty].
        pad_id: target pieces of this number are padding.
        label_smoothing: eps, from 0 to 1.
    """
    rows, pieces = readout.flatten(0, 1), target.flatten()
    settings: dict[str, Any] = {"ignore_index": pad_id, "label_smoothing": label_smoothing}
    if _linear_cross_entropy is not None and is_plain(projection, nn.Linear):
        return _linear_cross_entropy(rows, projection.weight, pieces, linear_bias=projection.bias, **settings)
    return F.cross_entropy(projection(rows), pieces, **settings)


def alignment_loss(weights: Tensor, links: Tensor, pieces: Tensor | int) -> Tensor:
    """Return ``-1/n sum_t sum_j A_tj log(alpha_tj)``: the cross entropy of attention and alignment.

    A_tj is 1 over the number of links of target piece t where j is one of them (Chen, Matusov, Khadivi, Peter 2016,
    "Guided Alignment Training for Topic-Aware Neural Machine Translation", arXiv 1607.01628). A piece without links
    adds nothing.

    Args:
        weights: alpha [B, Ty, Tx].
        links: int64 [N, 3]: row, target piece t, source piece j.
        pieces: n, the number of target pieces, those without links too.
    """
    row, target, source = links.unbind(dim=1)
    place = row * weights.shape[1] + target
    count = torch.bincount(place, minlength=weights.shape[0] * weights.shape[1])
    # Weights that have vanished have no gradient left either.
    linked = weights[row, target, source]
    logs = linked.to(torch.promote_types(linked.dtype, torch.float32)).clamp_min(1e-30).log()
    return -(logs / count[place]).sum() / pieces
