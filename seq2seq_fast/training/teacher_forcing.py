"""What the decoder reads in training: gold pieces, or for a share of them what it predicts itself.

Scheduled sampling (Bengio, Vinyals, Jaitly, Shazeer 2015, "Scheduled Sampling for Sequence Prediction with Recurrent
Neural Networks", arXiv 1506.03099). The predictions are made first, without gradient; the training's own pass then
reads the mixture as a whole sequence, since no gradient goes through a piece that is fed back.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor


class Draws(NamedTuple):
    """The random numbers of a batch.

    Attributes:
        gold: bool [B, Ty], whether the input of each position is the gold piece; always for the first.
        uniform: [B, Ty], uniform in [0, 1), what draws the other inputs; None takes the most probable piece.
    """

    gold: Tensor
    uniform: Tensor | None


def draw(inputs: Tensor, ratio: float, prediction: Literal["best", "sample"], lengths: Tensor | None = None) -> Draws:
    """Draw which inputs [B, Ty] are gold, each with probability ``ratio``; those behind a length stay as they are."""
    gold = torch.rand(inputs.shape, device=inputs.device) < ratio
    gold[:, :1] = True
    if lengths is not None:
        gold |= torch.arange(inputs.shape[1], device=inputs.device) >= lengths.unsqueeze(1)
    return Draws(gold, torch.rand(inputs.shape, device=inputs.device) if prediction == "sample" else None)


@torch.no_grad()
def sequential_mixture(model: Any, state: Any, inputs: Tensor, draws: Draws) -> Tensor:
    """Return the inputs with predictions, position by position, each made from the mixture before it.

    Args:
        model: a `seq2seq_fast.nn.Seq2Seq`.
        state: of its decoder before the first position.
        inputs: int64 [B, Ty], the gold piece before each position.
        draws: which of them to replace.
    """
    mixture = [inputs[:, 0]]
    for position in range(1, inputs.shape[1]):
        logits, state, _ = model.step(mixture[-1], state, need_weights=False)
        uniform = None if draws.uniform is None else draws.uniform[:, position]
        mixture.append(torch.where(draws.gold[:, position], inputs[:, position], _choose(logits, uniform)))
    _forget_casts()
    return torch.stack(mixture, dim=1)


@torch.no_grad()
def parallel_mixture(model: Any, state: Any, inputs: Tensor, draws: Draws, passes: int) -> Tensor:
    """Return the inputs with predictions, of all positions at once, each made from the last pass's mixture.

    The first pass reads gold pieces. Pass n is right at the first n positions, in the sense of `sequential_mixture`, so
    with as many passes as positions, the training's own counted, both give the same (Duckworth et al. 2019, "Parallel
    Scheduled Sampling", arXiv 1906.04331).

    Args:
        model, state, inputs, draws: as in `sequential_mixture`.
        passes: how often the decoder reads the whole sequence, the training's own pass counted.
    """
    replaced = ~draws.gold[:, 1:]
    uniform = None if draws.uniform is None else draws.uniform[:, 1:][replaced]
    mixture = inputs
    for _ in range(passes - 1):
        readout = model.decoder(mixture[:, :-1], state, need_weights=False).readout
        mixture = inputs.clone()
        mixture[:, 1:][replaced] = _choose(model.logits(readout[replaced]), uniform)
    _forget_casts()
    return mixture


def _choose(logits: Tensor, uniform: Tensor | None) -> Tensor:
    """Return pieces of logits [..., V]: the most probable, or by the inverse of the distribution function."""
    if uniform is None:
        return logits.argmax(dim=-1)
    cumulated = torch.softmax(logits.float(), dim=-1).cumsum(dim=-1)
    below = cumulated <= uniform.unsqueeze(-1) * cumulated[..., -1:]
    return below.sum(dim=-1).clamp(max=logits.shape[-1] - 1)


def _forget_casts() -> None:
    # Autocast keeps the casts of weights, in older versions of torch those made without gradient too: they must not
    # serve the pass that trains.
    torch.clear_autocast_cache()
