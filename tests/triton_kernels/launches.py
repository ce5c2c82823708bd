"""Launches that the host functions make, executed as the PTX that Triton generates for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.gpu_report.triton.launches import Launch, in_place_of_launches
from seq2seq_fast.triton_kernels.registration import OPAQUE, OPERATORS
from tests.emulators import ptx
from tests.support.executed_triton import launch_triton


@contextmanager
def noted() -> Iterator[list[Launch]]:
    """Launches are noted and not made, where torch.compile traces: it sees the kernels."""
    launches: list[Launch] = []
    with in_place_of_launches(launches.append, traceable=True):
        yield launches


class Operators(TorchDispatchMode):
    """Notes the operators of the engine that are called; ``call(name, function, args)`` is what runs in their place."""

    def __init__(self, call: Callable[[str, Callable, tuple], Any] | None = None) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self._call = call

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function.namespace != "seq2seq_fast_triton":
            return function(*args, **(kwargs or {}))
        name = function.overloadpacket.__name__
        self.seen.add(name)
        return function(*args) if self._call is None else self._call(name, (OPERATORS | OPAQUE)[name], args)


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
        compile_options = {k: v for k, v in launch.options.items() if k in ("enable_fp_fusion", "maxnreg")}
        parameters = {k: v for k, v in launch.options.items() if k not in compile_options}
        report = launch_triton(
            launch.kernel, launch.grid, launch.plain, launch.constexprs, capability=capability,
            compile_options=compile_options, **parameters, **options,
        )  # fmt: skip
        done.launches.append((launch, report))

    with in_place_of_launches(run):
        yield done
