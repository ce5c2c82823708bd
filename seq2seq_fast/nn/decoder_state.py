"""What a decoder carries from position to position, as a value, and what it returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from torch import Tensor

from seq2seq_fast.nn.attention_history import AttentionHistory
from seq2seq_fast.nn.cells import hidden_of, map_state
from seq2seq_fast.ops.attention_memory import AttentionMemory
from seq2seq_fast.ops.record import Record, register_record


@register_record
@dataclass(frozen=True, eq=False, repr=False)
class DecoderState(Record):
    """All that the next position needs. A step returns a new state and leaves the old one as it was.

    What belongs to a source (memory, context, masks) has one row a source, however many beams decode it.

    Attributes:
        layers: for each layer its state, [B, H] or with K beams [B, K, H] (LSTM: the pair (hidden, cell)).
        memory: keys and values of the sources; None in a decoder without attention.
        context: [B, D], the fixed context of a decoder without attention; otherwise None.
        feed: [B, R] or [B, K, R], the last readout, fed to the next position (Luong's input feeding); otherwise None.
        history: where has been attended before, for attention that asks for it; otherwise None.
        masks: dropout masks [B, ...] that hold for all positions, by name (training only).
    """

    layers: tuple[Any, ...]
    memory: AttentionMemory | None = None
    context: Tensor | None = None
    feed: Tensor | None = None
    history: AttentionHistory | None = None
    masks: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def batch(self) -> int:
        """B, how many sources there are."""
        return hidden_of(self.layers[0]).shape[0]

    @property
    def beams(self) -> int | None:
        """K, or None for a state without the axis of beams."""
        hidden = hidden_of(self.layers[0])
        return hidden.shape[1] if hidden.dim() == 3 else None

    def source(self) -> AttentionMemory:
        """The memory of a decoder with attention."""
        if self.memory is None:
            raise ValueError("this state has no memory to attend to: it was made by a decoder without attention")
        return self.memory

    def fixed_context(self) -> Tensor:
        """The context of a decoder without attention."""
        if self.context is None:
            raise ValueError("this state has no fixed context: it was made by a decoder with attention")
        return self.context

    def expand(self, beams: int) -> DecoderState:
        """K beams a source that start alike: [B, H] becomes [B, K, H]; keys and values are not repeated."""
        if self.beams is not None:
            raise ValueError(f"expand needs a state without beams; this one has {self.beams}")
        return self._map(lambda part: part.unsqueeze(1).expand(-1, beams, -1))

    def reorder(self, index: Tensor) -> DecoderState:
        """Beams picked within each source: beam k of source b is the old beam ``index[b, k]`` (index [B, K'] int64)."""
        if self.beams is None:
            raise ValueError("reorder needs a state with beams, see expand(); select() picks sources")

        def pick(part: Tensor) -> Tensor:
            return part.gather(1, index.unsqueeze(2).expand(-1, -1, part.shape[2]))

        return self._map(pick)

    def _map(self, function: Callable[[Tensor], Tensor]) -> DecoderState:
        """The function applied to what changes from position to position."""
        return replace(
            self,
            layers=tuple(map_state(function, layer) for layer in self.layers),
            feed=None if self.feed is None else function(self.feed),
            history=None if self.history is None else self.history.map(function),
        )


@register_record
class DecoderOutput(NamedTuple):
    """What a decoder returns for whole sequences.

    Attributes:
        readout: [B, Ty, R], what the vocabulary projection is applied to: ``decoder.logits(readout)``.
        weights: [B, Ty, Tx], None without ``need_weights`` or without attention.
        state: the state after the last position.
    """

    readout: Tensor
    weights: Tensor | None
    state: DecoderState


@register_record
class DecoderStep(NamedTuple):
    """What a decoder returns for one position, with the leading axes of its tokens.

    Attributes:
        logits: [B, V] or [B, K, V].
        state: for the next position.
        weights: [B, Tx] or [B, K, Tx], None without ``need_weights`` or without attention.
    """

    logits: Tensor
    state: DecoderState
    weights: Tensor | None


def per_beam(rows: Tensor, like: Tensor) -> Tensor:
    """[B, X] with an axis for beams or positions where ``like`` has one."""
    return rows.unsqueeze(1) if like.dim() == 3 else rows
