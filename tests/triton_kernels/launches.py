"""Launches that the host functions make: recorded, or executed as the PTX that Triton generates for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from torch._library.triton import set_wrap_triton_enabled
from triton.runtime.jit import JITFunction

from benchmarks.machine_code import CompiledKernel, compile_triton
from tests.support import ptx

OPTIONS = ("num_warps", "num_stages", "enable_fp_fusion")


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

    def compile(self, capability: int) -> CompiledKernel:
        return compile_triton(self.kernel, self.plain, self.constexprs, capability=capability, **self.options)


@contextmanager
def _in_place_of_launches(run, traceable: bool = False) -> Iterator[None]:
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
    with _in_place_of_launches(launches.append):
        yield launches


@contextmanager
def noted() -> Iterator[list[Launch]]:
    """As :func:`recorded`, for code that torch.compile traces: it sees the kernels."""
    launches: list[Launch] = []
    with _in_place_of_launches(launches.append, traceable=True):
        yield launches


@dataclass
class Executed:
    """What was executed: each launch with its report."""

    launches: list[tuple[Launch, ptx.LaunchReport]] = field(default_factory=list)

    def reports(self, name: str) -> list[ptx.LaunchReport]:
        found = [report for launch, report in self.launches if launch.name.endswith(name)]
        assert found, f"no launch of {name} among {sorted({launch.name for launch, _ in self.launches})}"
        return found


@contextmanager
def executed(capability: int = 80, **options: Any) -> Iterator[Executed]:
    """Launches execute the generated PTX on CPU tensors, at the launch parameters that ship."""
    done = Executed()

    def run(launch: Launch) -> None:
        if 0 in launch.grid:
            return
        compile_options = {k: v for k, v in launch.options.items() if k == "enable_fp_fusion"}
        parameters = {k: v for k, v in launch.options.items() if k != "enable_fp_fusion"}
        report = ptx.launch_triton(
            launch.kernel, launch.grid, launch.plain, launch.constexprs, capability=capability,
            compile_options=compile_options, **parameters, **options,
        )  # fmt: skip
        done.launches.append((launch, report))

    with _in_place_of_launches(run):
        yield done
