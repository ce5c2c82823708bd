"""Small PTX kernels written by hand, for tests of the interpreter."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.emulators import ptx

Array = np.ndarray[Any, Any]

_HEADER = ".version 8.8\n.target sm_80\n.address_size 64\n"
_REGISTERS = (
    ".reg .pred %p<9>; .reg .b16 %h<9>; .reg .b32 %r<33>; .reg .b64 %rd<17>; .reg .f32 %f<17>; .reg .f64 %fd<9>;"
)


def kernel(parameters: str, body: str, variables: str = "") -> ptx.Module:
    """A module with one kernel `k`. `parameters` are types; parameter i is `[pI]`. The usual registers are declared."""
    declared = ", ".join(f".param .{kind} p{number}" for number, kind in enumerate(parameters.split()))
    return ptx.load(f"{_HEADER}{variables}\n.visible .entry k({declared})\n{{\n{_REGISTERS}\n{body}\nret;\n}}\n")


def compute(statements: str, result: Any, *arrays: Array, **options: Any) -> Array:
    """Run statements on every row of the arrays: registers `%x0`, `%x1`, ... in, `%d` out.

    Registers have the width of an array's row, so packed types are arrays `[n, 2]`. `result` is the dtype of the
    output, or (dtype, 2) for packed results.
    """
    count = len(arrays[0])
    kind, *shape = result if isinstance(result, tuple) else (result,)
    output = np.zeros((count, *shape), kind)
    if output.dtype.kind == "f":
        output[:] = np.nan
    widths = [array[:1].nbytes * 8 for array in arrays]
    loads = "".join(
        f".reg .b{width} %x{number};\n"
        f"ld.param.u64 %rd1, [p{number}];\n"
        f"mad.wide.u32 %rd1, %r0, {width // 8}, %rd1;\n"
        f"ld.global.b{width} %x{number}, [%rd1];\n"
        for number, width in enumerate(widths)
    )
    wide = output[:1].nbytes * 8
    last = len(arrays)
    module = kernel(
        "u64 " * (last + 1) + "u32",
        f"mov.u32 %r0, %ctaid.x; mov.u32 %r1, %ntid.x; mov.u32 %r2, %tid.x; mad.lo.s32 %r0, %r0, %r1, %r2;\n"
        f"ld.param.u32 %r1, [p{last + 1}]; setp.ge.u32 %p0, %r0, %r1; @%p0 ret;\n"
        f"{loads}.reg .b{wide} %d;\n{statements}\n"
        f"ld.param.u64 %rd1, [p{last}]; mad.wide.u32 %rd1, %r0, {wide // 8}, %rd1; st.global.b{wide} [%rd1], %d;",
    )
    args = [*(np.ascontiguousarray(array) for array in arrays), output, count]
    module.launch(grid=-(-count // 64), block=64, args=args, **options)
    return output
