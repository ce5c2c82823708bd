"""One setting of precision for everything that multiplies float32 numbers on a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch


@contextmanager
def use_tf32(enabled: bool) -> Iterator[None]:
    """Multiply float32 on NVIDIA's tensor cores in TF32, or exactly, until the block ends.

    TF32 keeps 8 of float32's exponent bits and 10 of its 23 bits after the point: products are several times as fast
    and good to about three digits. PyTorch has a setting for matrix products, off by default, and one for cuDNN's
    recurrences and convolutions, on by default: an encoder in float32 is then less accurate than its decoder. Here they
    are one. Processors that multiply TF32 follow it too; other dtypes are not touched. It holds for the whole process,
    all threads.

    >>> with seq2seq_fast.use_tf32(False):
    ...     exact = model(source, lengths, target).logits
    """
    backends = torch.backends
    newer = {
        owner: owner.fp32_precision
        for owner in (backends.cuda.matmul, backends.mkldnn.matmul, backends.cudnn.rnn, backends.cudnn.conv)
    }
    # PyTorch has these settings twice. The older ones set the newer ones too, so they come first; they cannot be read
    # where the newer ones say more than they can.
    products = recurrences = None
    with suppress(RuntimeError):
        products = torch.get_float32_matmul_precision()
    with suppress(RuntimeError):
        recurrences = backends.cudnn.allow_tf32
    try:
        _set_older("high" if enabled else "highest", enabled)
        for owner in (backends.cuda.matmul, backends.cudnn.rnn, backends.cudnn.conv):
            owner.fp32_precision = "tf32" if enabled else "ieee"
        yield
    finally:
        _set_older(products, recurrences)
        for owner, precision in newer.items():
            owner.fp32_precision = precision


def _set_older(products: str | None, recurrences: bool | None) -> None:
    if products is not None:
        torch.set_float32_matmul_precision(products)
    if recurrences is not None:
        torch.backends.cudnn.allow_tf32 = recurrences
