"""The Triton launches that host functions make, noted in place of being made: no GPU is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch._library.triton import set_wrap_triton_enabled
from torch.utils._pytree import tree_leaves
from triton.runtime.jit import JITFunction

from benchmarks.gpu_report.eager import EagerKernel, EagerTrace
from benchmarks.gpu_report.machine_code.kernel import CompiledKernel
from benchmarks.gpu_report.triton.compile import compile_triton
from benchmarks.gpu_report.triton.traffic import moved

OPTIONS = ("num_warps", "num_stages", "enable_fp_fusion", "maxnreg")


@dataclass(frozen=True)
class Launch:
    """One launch: the kernel, its grid, its arguments by name and the compiler's options."""

    kernel: Any
    grid: tuple[int, ...]
    arguments: Mapping[str, Any]
    options: Mapping[str, Any]

    @property
    def name(self) -> str:
        return f"{self.kernel.fn.__module__.rsplit('.', 1)[1]}.{self.kernel.fn.__name__}"

    @property
    def constexprs(self) -> dict[str, Any]:
        names = [p.name for p in self.kernel.params if p.is_constexpr]
        return {name: self.arguments[name] for name in names}

    @property
    def plain(self) -> dict[str, Any]:
        """The arguments that are no constexprs."""
        return {name: value for name, value in self.arguments.items() if name not in self.constexprs}

    @property
    def moved(self) -> Mapping[str, float]:
        return moved(self.name, self.grid, self.arguments)

    def compile(self, capability: int) -> CompiledKernel:
        return compile_triton(self.kernel, self.plain, self.constexprs, capability=capability, **self.options)


@contextmanager
def in_place_of_launches(run: Callable[[Launch], Any], traceable: bool = False) -> Iterator[None]:
    """Every launch calls ``run`` instead; with ``traceable``, torch.compile sees the kernels."""
    original = JITFunction.run

    def replacement(kernel, *args, grid, warmup, **keywords):
        options = {name: keywords.pop(name) for name in OPTIONS if name in keywords}
        arguments = {**dict(zip(kernel.arg_names, args, strict=False)), **keywords}
        return run(Launch(kernel, grid, arguments, options))

    JITFunction.run = replacement
    try:
        with nullcontext() if traceable else set_wrap_triton_enabled(False):
            yield
    finally:
        JITFunction.run = original


@contextmanager
def recorded() -> Iterator[list[Launch]]:
    """Launches are noted and not made: the host functions run on tensors of any device, meta included."""
    launches: list[Launch] = []
    with in_place_of_launches(launches.append):
        yield launches


def our_kernels(function: Callable, *arguments: object) -> tuple[list[Launch], list[EagerKernel], list[Tensor]]:
    """Launches, the libraries' kernels, and all tensors that a call takes and gives."""
    with recorded() as launches, EagerTrace() as trace:
        results = function(*arguments)
    return launches, trace.kernels, [t for t in tree_leaves((arguments, results)) if isinstance(t, Tensor)]
