"""Compile a Triton kernel for a real device and execute the PTX on CPU tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from benchmarks.gpu_report.triton.compile import compile_triton
from tests.emulators.ptx.launch import Extent, Module
from tests.emulators.ptx.report import LaunchReport


@lru_cache(maxsize=64)
def _module(text: str) -> Module:
    return Module(text)


def launch_triton(
    kernel: Any,
    grid: Extent | Callable[[dict[str, Any]], Extent],
    args: Sequence[Any] | Mapping[str, Any],
    constexprs: Mapping[str, Any] | None = None,
    *,
    num_warps: int = 4,
    num_stages: int = 3,
    capability: int = 80,
    compile_options: Mapping[str, Any] | None = None,
    **launch_options: Any,
) -> LaunchReport:
    """Run the code that Triton makes of a `@triton.jit` function, tensors in place.

    Only in a process without TRITON_INTERPRET=1 (see `tests.support.triton_modes`).

    Args:
        kernel: the function.
        grid: extents, or a function of the constexprs that returns them.
        args: tensors or arrays and numbers, in order or by name; their values are specialised as at a real launch.
        constexprs: values of the `tl.constexpr` parameters.
        num_warps, num_stages: launch parameters.
        capability: compute capability to compile for. From 90 on, `tl.dot` compiles to instructions that are not
            executed here.
        compile_options: further options of the compiler.
        launch_options: those of `Module.launch` (order, traffic, exact_approximations, ...).

    Returns:
        What was executed.
    """
    compiled = compile_triton(
        kernel,
        args,
        constexprs,
        capability=capability,
        num_warps=num_warps,
        num_stages=num_stages,
        **(compile_options or {}),
    )
    named = args if isinstance(args, Mapping) else {}
    positional = () if isinstance(args, Mapping) else args
    bound = kernel.signature.bind(*positional, **named, **(constexprs or {}))
    bound.apply_defaults()
    values = [bound.arguments[name] for name in compiled.arguments]
    module = _module(compiled.ptx)
    # Triton appends pointers to scratch memory, which these kernels do not use.
    scratch = len(module.kernels[compiled.name].parameters) - len(values)
    return module.launch(
        compiled.name,
        grid=grid(dict(bound.arguments)) if callable(grid) else grid,
        block=compiled.threads,
        args=[*values, *[None] * scratch],
        names=[*compiled.arguments, *["scratch memory"] * scratch],
        shared=compiled.dynamic_shared_bytes,
        **launch_options,
    )
