"""What additive attention may know of where it has attended before: features of the positions, for the scores

``e_ij = v^T tanh(W s_i + U h_j + V f_ij)``.

B sources, K queries (beams) of each, Tx positions, D the size of the values, F features, A attention units.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

# N of Tu et al., the most target words that a source word gives.
MOST_FERTILE = 2.0
# Below it a position is as good as barren; it keeps the coverage finite.
_LEAST_FERTILE = 1e-6


def location_features(attended: Tensor, convolve: Callable[[Tensor], Tensor], dtype: torch.dtype) -> Tensor:
    """``f_i = F * a_i``: filters F, centred, over the weights a_i of the last query or their sum.

    Chorowski, Bahdanau, Serdyuk, Cho, Bengio 2015, "Attention-Based Models for Speech Recognition", arXiv 1506.07503,
    equation 8; of the sum, Shen et al. 2018, arXiv 1712.05884, section 2.2.

    Args:
        attended: a, [B, K, C, Tx], in one channel or two. convolve: from [B K, C, Tx] in ``dtype`` to [B K, F, Tx].

    Returns:
        [B, K, Tx, F].
    """
    rows = attended.to(dtype).flatten(0, 1)
    return convolve(rows).transpose(1, 2).unflatten(0, attended.shape[:2])


def fertility(logits: Tensor, dtype: torch.dtype) -> Tensor:
    """``Phi_j = N sigmoid(u^T h_j + b)`` with N = 2, what each source position may be attended to in all.

    Tu, Lu, Liu, Liu, Li 2016, "Modeling Coverage for Neural Machine Translation", arXiv 1601.04811, equation 8.

    Args:
        logits: ``u^T h_j + b``, [B, Tx].

    Returns:
        [B, Tx] in ``dtype``.
    """
    return MOST_FERTILE * torch.sigmoid(logits.to(dtype))


def coverage_features(attended: Tensor, fertility: Tensor, dtype: torch.dtype) -> Tensor:
    """``f_ij = sum_{l<i} a_lj / Phi_j``, the linguistic coverage of Tu et al. 2016, equation 7.

    Args:
        attended: the sum of the weights so far, [B, K, Tx]. fertility: Phi, [B, Tx].

    Returns:
        [B, K, Tx, 1] in ``dtype``.
    """
    return (attended / fertility.clamp(min=_LEAST_FERTILE).unsqueeze(1)).to(dtype).unsqueeze(3)
