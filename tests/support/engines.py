"""The backends that can run here, each with a device, as parameters of the operators' tests."""

from __future__ import annotations

from typing import NamedTuple

import torch

import seq2seq_fast


class Engine(NamedTuple):
    backend: str
    device: str

    def serves(self, dtype: torch.dtype) -> bool:
        return dtype in seq2seq_fast.backends()[self.backend].dtypes

    def lacks(self, dtype: torch.dtype) -> bool:
        """Whether the engine leaves the dtype out. Only engines for a GPU may, and only float64."""
        if self.serves(dtype):
            return False
        assert dtype == torch.float64 and self.backend not in ("reference", "cpu"), f"{self} does not serve {dtype}"
        return True

    def __str__(self) -> str:
        return f"{self.backend}-{self.device}"


def engines() -> list[Engine]:
    found = []
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    for backend, status in seq2seq_fast.backends().items():
        if status.usable:
            found += [Engine(backend, d) for d in devices if d in status.devices or status.devices == ("any",)]
    return found


ENGINES = engines()
FUSED = [engine for engine in ENGINES if engine.backend != "reference"]
DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


def dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
