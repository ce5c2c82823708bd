"""Ahead-of-time compilation of Triton kernels, with no GPU.

kernel = compile_triton(add_kernel, [x, y, out, n], {"BLOCK": 1024}, capability=90, num_warps=4)
kernel.resources.registers, kernel.occupancy().fraction, kernel.code.loops()[0].mix.special
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.gpu_report.machine_code.kernel import CompiledKernel


def compile_triton(
    kernel: Any,
    args: Sequence[Any] | Mapping[str, Any],
    constexprs: Mapping[str, Any] | None = None,
    *,
    capability: int,
    num_warps: int = 4,
    num_stages: int = 3,
    enable_fp_fusion: bool = True,
    **options: Any,
) -> CompiledKernel:
    """Compile a `@triton.jit` function as a launch with these arguments on such a device would.

    Args:
        kernel: the function.
        args: example arguments, in order or by name: tensors (dtype and alignment count; the meta device will do) and
            numbers. Alignment by 16 and the value 1 are compiled in, as at a launch.
        constexprs: values of the `tl.constexpr` parameters.
        capability: compute capability, 80 for 8.0.
        options: further compiler options such as `maxnreg`.

    Raises:
        TypeError: where the function was defined under TRITON_INTERPRET=1, or is no triton function.
    """
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, make_backend
    from triton.runtime.jit import JITFunction, create_function_from_signature

    if not isinstance(kernel, JITFunction):
        raise TypeError(
            f"{kernel!r} is not a compilable @triton.jit function; functions defined in a process with "
            "TRITON_INTERPRET=1 cannot be compiled"
        )
    target = GPUTarget("cuda", capability, 32)
    backend = make_backend(target)
    keywords = {
        **(constexprs or {}),
        "num_warps": num_warps,
        "num_stages": num_stages,
        "enable_fp_fusion": enable_fp_fusion,
        **options,
    }
    positional: Sequence[Any] = ()
    if isinstance(args, Mapping):
        keywords |= args
    else:
        positional = args
    # The launch path of JITFunction.run, with the target in place of the current device's.
    bind = create_function_from_signature(kernel.signature, kernel.params, backend)
    bound, specialization, extra = bind(*positional, **keywords)
    parsed, signature, constants, attributes = kernel._pack_args(backend, keywords, bound, specialization, extra)
    source = ASTSource(kernel, signature, constants, attributes)
    compiled = triton.compile(source, target=target, options=parsed.__dict__)
    metadata = compiled.metadata
    return CompiledKernel(
        name=metadata.name,
        capability=capability,
        ptx=compiled.asm["ptx"],
        cubin=compiled.asm["cubin"],
        num_warps=metadata.num_warps,
        dynamic_shared_bytes=metadata.shared,
        arguments=tuple(name for name, kind in signature.items() if kind != "constexpr"),
        metadata=metadata,
    )
