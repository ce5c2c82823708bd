"""What a launch executed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from tests.emulators.ptx.banks import Banks
from tests.emulators.ptx.program import Program
from tests.emulators.ptx.syntax import TYPE_BITS, Instruction, Kernel, Vector
from tests.emulators.ptx.traffic import Traffic


@dataclass(frozen=True)
class LaunchReport:
    """Exact counts of executed instructions, by opcode.

    `thread_counts` counts threads whose predicate held; `warp_counts` counts warps with such a thread. Branches count
    for every thread that reaches them. `traffic` and `banks` (of loads from shared memory)
    are there where the launch asked for them.
    """

    kernel: str
    thread_counts: Counter[str]
    warp_counts: Counter[str]
    thread_bytes: Counter[str]
    traffic: Traffic | None
    banks: Banks | None

    def threads(self, *prefixes: str) -> int:
        """Thread-level count of the opcodes that begin with any of the prefixes (`"ex2"`, `"ld.global"`), or of all."""
        return _sum(self.thread_counts, prefixes)

    def warps(self, *prefixes: str) -> int:
        """Warp-level count, likewise."""
        return _sum(self.warp_counts, prefixes)

    def bytes(self, *prefixes: str) -> int:
        """Bytes that threads asked for with loads, stores and asynchronous copies of these opcodes."""
        return _sum(self.thread_bytes, prefixes)


def _sum(counts: Counter[str], prefixes: tuple[str, ...]) -> int:
    if not prefixes:
        return sum(counts.values())
    return sum(n for opcode, n in counts.items() if any(_begins(opcode, prefix) for prefix in prefixes))


def _begins(opcode: str, prefix: str) -> bool:
    """Whole parts only: `ld` is no prefix of `ldmatrix`."""
    return opcode == prefix or opcode.startswith(prefix + ".")


def _access_bytes(ins: Instruction) -> int:
    if ins.kind == "cp" and len(ins.operands) >= 3:
        return getattr(ins.operands[2], "bits", 0)
    if ins.kind in ("ld", "st", "ldu"):
        vector = ins.operands[0] if ins.kind != "st" else ins.operands[1]
        return TYPE_BITS[ins.type] // 8 * (len(vector.items) if isinstance(vector, Vector) else 1)
    return 0


def make_report(kernel: Kernel, program: Program, traffic: Traffic | None, banks: Banks | None) -> LaunchReport:
    """Add up the tallies of blocks and of predicated instructions."""
    threads: Counter[str] = Counter()
    warps: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    tallies = [(ins, block.tally) for block in program.blocks for ins in block.instructions]
    for ins, tally in [*tallies, *program.predicated]:
        threads[ins.opcode] += tally.threads
        warps[ins.opcode] += tally.warps
        asked[ins.opcode] += tally.threads * _access_bytes(ins)
    return LaunchReport(kernel.name, +threads, +warps, +asked, traffic, banks)
