"""Launches that the host functions make, executed as the PTX that Triton generates for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from benchmarks.gpu_launches import Launch, in_place_of_launches
from tests.support import ptx


@contextmanager
def noted() -> Iterator[list[Launch]]:
    """Launches are noted and not made, where torch.compile traces: it sees the kernels."""
    launches: list[Launch] = []
    with in_place_of_launches(launches.append, traceable=True):
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
        compile_options = {k: v for k, v in launch.options.items() if k in ("enable_fp_fusion", "maxnreg")}
        parameters = {k: v for k, v in launch.options.items() if k not in compile_options}
        report = ptx.launch_triton(
            launch.kernel, launch.grid, launch.plain, launch.constexprs, capability=capability,
            compile_options=compile_options, **parameters, **options,
        )  # fmt: skip
        done.launches.append((launch, report))

    with in_place_of_launches(run):
        yield done
