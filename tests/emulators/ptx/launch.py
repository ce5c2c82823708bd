"""A parsed module and its launches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.emulators.ptx.arguments import pack, regions
from tests.emulators.ptx.async_copies import AsyncCopies
from tests.emulators.ptx.banks import Banks
from tests.emulators.ptx.binding import Binding
from tests.emulators.ptx.errors import PtxError
from tests.emulators.ptx.formats import Array
from tests.emulators.ptx.geometry import Geometry
from tests.emulators.ptx.global_memory import GlobalMemory
from tests.emulators.ptx.machine import Machine
from tests.emulators.ptx.memory import Memories, PartitionedMemory, SharedMemory
from tests.emulators.ptx.parser import parse
from tests.emulators.ptx.program import Program, registers_of
from tests.emulators.ptx.registers import RegisterFile
from tests.emulators.ptx.report import LaunchReport, make_report
from tests.emulators.ptx.syntax import TYPE_BITS, Kernel, Variable

LANES = 4096
STEPS = 5_000_000
Extent = int | tuple[int, ...]


class Module:
    """Kernels that can be launched."""

    def __init__(self, text: str) -> None:
        self.kernels, self.variables = parse(text)

    def launch(
        self,
        name: str | None = None,
        *,
        grid: Extent,
        block: Extent,
        args: Sequence[Any],
        names: Sequence[str] | None = None,
        shared: int = 0,
        order: int | None = None,
        check_races: bool = True,
        check_blocks: bool = True,
        exact_approximations: bool = False,
        traffic: bool = False,
        concurrent: bool = False,
        lanes: int = LANES,
        steps: int = STEPS,
    ) -> LaunchReport:
        """Run a kernel on numpy arrays and CPU tensors, in place, and return what it executed.

        Args:
            name: the kernel; may be left out where the module has one.
            grid, block: extents, one to three numbers.
            args: one a parameter: an array or tensor (its address), a number, a `Struct`, None for a null
                pointer.
            names: what messages call the arguments.
            shared: bytes of dynamic shared memory.
            order: a seed; blocks then run in a permuted order, in batches of random size. None: in order.
            check_races: raise on shared memory used by two warps, one writing, with no barrier between.
            check_blocks: raise on global memory used by two blocks, one writing another value. Off for kernels whose
                blocks talk to each other.
            exact_approximations: round the results of `ex2.approx` and its like correctly, in place of moving them
                inside the published error.
            traffic: count 32-byte sectors, distinct bytes and meetings in banks of shared memory too (slow).
            concurrent: run all blocks at once (for kernels whose blocks wait for each other).
            lanes: threads that run together: speed against memory.
            steps: basic blocks after which a kernel counts as hanging.

        Raises:
            PtxError: one of its kinds (see `errors`), naming the line of the text.
        """
        kernel = self._kernel(name)
        grid3, block3 = _three(grid), _three(block)
        blocks = grid3[0] * grid3[1] * grid3[2]
        variables = {v.name: v.data.ljust(v.size, b"\0") for v in self.variables if v.space in ("global", "const")}
        memory = GlobalMemory(regions(args, names or [f"argument {n}" for n in range(len(args))]), variables)
        values = pack(kernel, args, memory)
        most = blocks if concurrent else max(1, lanes // (-(-block3[0] * block3[1] * block3[2] // 32) * 32))
        batches = _batches(blocks, most, order, concurrent)
        geometry = Geometry(block3, max((len(batch) for batch in batches), default=1))
        state = _State(kernel, self.variables, geometry, memory, values, shared, check_races, traffic)
        numbers = np.zeros(geometry.lanes, np.int64)
        memory.attach(geometry, numbers, state.global_granule, check_blocks, traffic)
        binding = state.binding(grid3, exact_approximations)
        program = Program(kernel, binding)
        machine = Machine(program, binding, steps)
        with np.errstate(all="ignore"):
            for batch in batches:
                _place(batch, geometry, grid3, numbers, binding.special)
                machine.run(len(batch))
        memory.copy_back()
        return make_report(kernel, program, memory.traffic, state.banks)

    def _kernel(self, name: str | None) -> Kernel:
        if name is None and len(self.kernels) == 1:
            return next(iter(self.kernels.values()))
        if name not in self.kernels:
            raise PtxError(f"no kernel {name}; the module has {', '.join(self.kernels)}")
        return self.kernels[name]


class _State:
    """Memory spaces of a launch and the addresses of variables in them."""

    def __init__(
        self,
        kernel: Kernel,
        variables: list[Variable],
        geometry: Geometry,
        memory: GlobalMemory,
        parameters: bytes,
        dynamic: int,
        check_races: bool,
        count_banks: bool,
    ) -> None:
        self._kernel = kernel
        self._geometry = geometry
        self.symbols: dict[str, int] = dict(memory.variables)
        self.symbols |= {parameter.name: parameter.offset for parameter in kernel.parameters}
        known = [*variables, *kernel.variables]
        shared = self._lay_out([v for v in known if v.space == "shared"], dynamic)
        local = self._lay_out([v for v in known if v.space == "local"], 0)
        self._dynamic, self._shared_size = dynamic, shared
        self.global_granule = _granule(kernel, "global")
        everyone = np.zeros(geometry.lanes, np.int64)
        self._memories = Memories(
            memory,
            SharedMemory(shared, geometry, _granule(kernel, "shared"), check_races, count_banks),
            PartitionedMemory("local", local, np.arange(geometry.lanes), geometry.lanes),
            PartitionedMemory("parameter", len(parameters), everyone, 1),
        )
        self._memories.parameters.fill(parameters)

    @property
    def banks(self) -> Banks | None:
        return self._memories.shared.banks

    def _lay_out(self, variables: list[Variable], dynamic: int) -> int:
        """Place variables, those of dynamic size last and together. Returns the bytes needed."""
        size = 0
        for variable in sorted(variables, key=lambda v: v.is_extern):
            size = -(-size // max(variable.align, 16 if variable.is_extern else 1)) * max(
                variable.align, 16 if variable.is_extern else 1
            )
            self.symbols[variable.name] = size
            if not variable.is_extern:
                size += variable.size
        return size + dynamic

    def binding(self, grid: tuple[int, int, int], exact_approximations: bool) -> Binding:
        lanes = self._geometry.lanes
        thread = self._geometry.thread
        x, y, _ = self._geometry.block
        special: dict[str, Array] = {
            "%tid.x": thread % x,
            "%tid.y": thread // x % y,
            "%tid.z": thread // (x * y),
            "%laneid": thread % 32,
            "%warpid": thread // 32,
            "%nwarpid": np.full(lanes, self._geometry.warps_per_block),
            "%dynamic_smem_size": np.full(lanes, self._dynamic),
            "%total_smem_size": np.full(lanes, self._shared_size),
            "%lanemask_eq": 1 << thread % 32,
            "%lanemask_lt": (1 << thread % 32) - 1,
            "%lanemask_le": (2 << thread % 32) - 1,
            "%lanemask_gt": ~((2 << thread % 32) - 1) & 0xFFFFFFFF,
            "%lanemask_ge": ~((1 << thread % 32) - 1) & 0xFFFFFFFF,
        }
        for axis, name in enumerate("xyz"):
            special[f"%ntid.{name}"] = np.full(lanes, self._geometry.block[axis])
            special[f"%nctaid.{name}"] = np.full(lanes, grid[axis])
            special[f"%ctaid.{name}"] = np.zeros(lanes, np.uint32)
        typed = {name: values.astype(np.uint32) for name, values in special.items()}
        registers = RegisterFile(registers_of(self._kernel), lanes)
        copies = AsyncCopies(self._geometry, self._memories)
        return Binding(self._geometry, registers, self._memories, copies, typed, self.symbols, exact_approximations)


def _three(extent: Extent) -> tuple[int, int, int]:
    numbers = (extent,) if isinstance(extent, int) else tuple(extent)
    return (*numbers, 1, 1)[:3]  # type: ignore[return-value]


def _batches(blocks: int, most: int, order: int | None, together: bool) -> list[Array]:
    """Block numbers that run together, in the order of running."""
    if not blocks:
        return []
    if order is None:
        return np.array_split(np.arange(blocks), -(-blocks // most))
    random = np.random.default_rng(order)
    numbers = random.permutation(blocks)
    if together:
        return [numbers]
    batches = []
    while numbers.size:
        size = int(random.integers(1, most + 1))
        batches.append(numbers[:size])
        numbers = numbers[size:]
    return batches


def _place(
    batch: Array, geometry: Geometry, grid: tuple[int, int, int], numbers: Array, special: dict[str, Array]
) -> None:
    """Tell the lanes their blocks."""
    padded = np.zeros(geometry.count, np.int64)
    padded[: batch.size] = batch
    numbers[:] = padded[geometry.block_position]
    special["%ctaid.x"][:] = numbers % grid[0]
    special["%ctaid.y"][:] = numbers // grid[0] % grid[1]
    special["%ctaid.z"][:] = numbers // (grid[0] * grid[1])


def _granule(kernel: Kernel, space: str) -> int:
    """The narrowest element that the kernel's instructions access in a space: the cell of race detection."""
    widths = [16]
    for ins in kernel.instructions:
        if ins.kind in ("ld", "st", "ldu") and any(part.split("::")[0] == space for part in ins.parts):
            widths.append(TYPE_BITS[ins.type] // 8)
        elif ins.kind == "ldmatrix":
            widths.append(2)
        elif ins.kind == "cp":
            widths.append(4)
        elif ins.kind in ("ld", "st") and not ins.has("global", "local", "param", "const"):
            widths.append(TYPE_BITS[ins.type] // 8)
    return min(widths)
