"""What is attended to, as one value."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Source(NamedTuple):
    """A batch of sources.

    Attributes:
        keys: [B, Tx, A]. values: [B, Tx, D].
        exponentials: [B, Tx, A] float32, of the keys. in_range: [B] bool, whether a source's exponentials serve.
        v: [A].
        lengths: [B] or None. mask: [B, Tx] bool or None.
    """

    keys: Tensor
    values: Tensor
    exponentials: Tensor
    in_range: Tensor
    v: Tensor
    lengths: Tensor | None
    mask: Tensor | None
