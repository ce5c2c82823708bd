"""What counts of executed instructions are made of."""

from __future__ import annotations

import importlib
import pkgutil
from collections import Counter

from seq2seq_fast import triton_kernels
from seq2seq_fast.triton_kernels.kernel import Kernel
from tests.emulators.ptx import LaunchReport

KINDS = {
    "special": ("rcp", "ex2", "lg2", "sqrt"),
    "divisions": ("div.full",),
    "fused": ("fma.rn.f32",),
    "products": ("mul.f32", "mul.rn.f32"),
    "sums": ("add.f32", "sub.f32"),
    "shuffles": ("shfl",),
}
MEMORY = {"read": ("ld.global", "cp.async"), "written": ("st.global",)}


class Mix(Counter[str]):
    """Numbers of instructions by kind; mixes add up, and are repeated by ``times``."""

    def times(self, count: int) -> Mix:
        return Mix({kind: number * count for kind, number in self.items()})

    def __add__(self, other: Counter[str]) -> Mix:  # type: ignore[override]
        return Mix(super().__add__(other))


def mix(special: int = 0, divisions: int = 0, fused: int = 0, products: int = 0, sums: int = 0, **others: int) -> Mix:
    return Mix(special=special, divisions=divisions, fused=fused, products=products, sums=sums, **others)


def found(report: LaunchReport) -> dict[str, int]:
    """Counts of a launch, kinds that it lacks left out."""
    counts = {kind: report.threads(*opcodes) for kind, opcodes in KINDS.items()}
    counts |= {kind: report.bytes(*opcodes) for kind, opcodes in MEMORY.items()}
    return {kind: count for kind, count in counts.items() if count}


def every_kernel() -> set[str]:
    """All kernels of the package, as ``module._name_kernel``."""
    modules = [m.name for m in pkgutil.iter_modules(triton_kernels.__path__)]
    return {
        value.name
        for module in modules
        for value in vars(importlib.import_module(f"seq2seq_fast.triton_kernels.{module}")).values()
        if isinstance(value, Kernel)
    }
