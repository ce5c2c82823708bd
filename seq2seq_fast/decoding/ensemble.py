"""Several models that translate as one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from seq2seq_fast.nn import DecoderStep

Average = Literal["probabilities", "log_probabilities"]


class EnsembleState(NamedTuple):
    """Each member's `DecoderState`."""

    members: tuple[Any, ...]

    def select(self, index: Tensor) -> EnsembleState:
        """See `DecoderState.select`."""
        return EnsembleState(tuple(member.select(index) for member in self.members))

    def expand(self, beams: int) -> EnsembleState:
        """See `DecoderState.expand`."""
        return EnsembleState(tuple(member.expand(beams) for member in self.members))

    def reorder(self, index: Tensor) -> EnsembleState:
        """See `DecoderState.reorder`."""
        return EnsembleState(tuple(member.reorder(index) for member in self.members))


class Ensemble(nn.Module):
    """Models of any architecture that read and write the same pieces, searched as one model.

    Args:
        models: `Seq2Seq` models, in evaluation mode.
        average: "probabilities", the arithmetic mean of what the models give each piece; or "log_probabilities", the
            geometric mean, normalised again, which a single model can veto.

    Raises:
        ValueError: there is no model, or their vocabularies have different sizes.
    """

    def __init__(self, models: Sequence[nn.Module], average: Average = "probabilities") -> None:
        super().__init__()
        sizes = {(m.config.source_vocabulary_size, m.config.target_vocabulary_size) for m in models}  # type: ignore
        if len(sizes) != 1:
            raise ValueError(f"an ensemble is of one model or more with the same vocabularies; got sizes {sizes}")
        self.models = nn.ModuleList(models)
        self.average = average

    def encode(self, source: Tensor, lengths: Tensor) -> tuple[Any, ...]:
        """Return what each member's encoder returns."""
        return tuple(model.encode(source, lengths) for model in self.models)

    def start(self, encoded: tuple[Any, ...]) -> EnsembleState:
        """Return the state before the first position."""
        return EnsembleState(tuple(model.start(one) for model, one in zip(self.models, encoded, strict=True)))

    def step(self, tokens: Tensor, state: EnsembleState, *, need_weights: bool = True) -> DecoderStep:
        """One position, as `Seq2Seq.step`: the logits are log probabilities, the weights the members' mean."""
        steps = [
            model.step(tokens, member, need_weights=need_weights)
            for model, member in zip(self.models, state.members, strict=True)
        ]
        mean = self.mean([step.logits for step in steps])
        weights = [step.weights.float() for step in steps if step.weights is not None]
        attention = torch.stack(weights).mean(dim=0) if weights else None
        following: Any = EnsembleState(tuple(step.state for step in steps))
        return DecoderStep(mean, following, attention)

    def mean(self, logits: Sequence[Tensor]) -> Tensor:
        """The ensemble's log probabilities [..., V] from each member's logits [..., V]."""
        each = torch.stack([torch.log_softmax(one.float(), dim=-1) for one in logits])
        if self.average == "probabilities":
            return each.logsumexp(dim=0) - math.log(len(logits))
        return torch.log_softmax(each.mean(dim=0), dim=-1)


def has_attention(model: nn.Module) -> bool:
    """Whether a model, or one of an ensemble's, attends."""
    members = model.models if isinstance(model, Ensemble) else [model]
    return any(member.config.attention is not None for member in members)  # type: ignore[union-attr]
