"""Who runs a workload: the baselines and the backends that are usable here."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

import seq2seq_fast
from benchmarks.workload import Inputs, Outputs, Workload


@dataclass(frozen=True)
class Contender:
    """A function to time on a workload's inputs.

    Attributes:
        name: what the tables call it: a baseline, a backend, or "backend+cudagraph".
        call: inputs to outputs.
        is_baseline: it does not use this package's fused backends.
        graphed: replay it from CUDA graphs captured for each set of inputs.
    """

    name: str
    call: Callable[[Inputs], Outputs]
    is_baseline: bool = False
    graphed: bool = False


def usable_backends(device: torch.device, dtype: torch.dtype) -> list[str]:
    """The fused backends that serve such tensors here; the reference where there is none."""
    tensor = torch.empty(0, dtype=dtype, device=device)
    fused = [
        name
        for name, status in seq2seq_fast.backends().items()
        if name != "reference" and status.usable and not status.why_not(tensor)
    ]
    return fused or ["reference"]


def contenders(
    workload: Workload, device: torch.device, baselines: Sequence[str], backends: Sequence[str]
) -> list[Contender]:
    """The baselines that can run on this device, then the backends (on CUDA under graphs too)."""
    on_cuda = device.type == "cuda"
    makers: dict[str, Callable[[], Contender]] = {
        "eager": lambda: Contender("eager", workload.eager, is_baseline=True),
        "compile": lambda: Contender("compile", _compiled(workload), is_baseline=True),
        "cudagraph": lambda: _graphed(workload, "cudagraph", workload.eager, is_baseline=True),
    }
    baselines = [name for name in baselines if name in workload.baselines and (on_cuda or name != "cudagraph")]
    found = [makers[name]() for name in baselines]
    for name in backends:
        found.append(Contender(name, _on(workload, name)))
        if "cudagraph" in baselines:
            found.append(_graphed(workload, f"{name}+cudagraph", _on(workload, name)))
    return found


def _on(workload: Workload, backend: str) -> Callable[[Inputs], Outputs]:
    return lambda inputs: workload.run(inputs, backend)


def _graphed(
    workload: Workload, name: str, call: Callable[[Inputs], Outputs], *, is_baseline: bool = False
) -> Contender:
    if workload.replayed is not None:
        return Contender(name, workload.replayed(call), is_baseline)
    return Contender(name, call, is_baseline, graphed=True)


def _compiled(workload: Workload) -> Callable[[Inputs], Outputs]:
    from torch._inductor import config

    # Compile time is reported: what an earlier run left in the compiler's caches would hide it.
    config.force_disable_caches = True
    warnings.filterwarnings("ignore", "dynamo_pgo force disabled")
    torch._dynamo.reset()
    if workload.compiled is not None:
        return workload.compiled()
    return torch.compile(workload.eager, dynamic=False)
