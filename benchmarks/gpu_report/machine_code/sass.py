"""Machine code: disassembly of a cubin, its loops, and the mix of instructions in each."""

from __future__ import annotations

import functools
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

_FUNCTION = re.compile(r"\s*\.text\.([\w$.]+):")
_LABEL = re.compile(r"\s*(\.L_\w+):")
_INSTRUCTION = re.compile(
    r"\s*/\*([0-9a-f]{4,})\*/\s+(?:\{\s*)?(?:(@!?U?P\w+)\s+)?([A-Z][A-Z0-9_]*(?:\.[\w.]+)?)\s*([^;]*);"
)
_TARGET = re.compile(r"`\((\.L_\w+)\)")
_ACCESS_BITS = re.compile(r"\.([US]?)(8|16|32|64|128|256)(?=\.|$)")


@dataclass(frozen=True)
class SassInstruction:
    """One machine instruction: opcode with modifiers, guard predicate or "", operands as text."""

    address: int
    opcode: str
    predicate: str
    operands: str

    @property
    def kind(self) -> str:
        return self.opcode.split(".")[0]


@dataclass(frozen=True)
class InstructionMix:
    """Counts of instructions by opcode with modifiers."""

    counts: Counter[str]

    def count(self, *kinds: str) -> int:
        """Instructions of the given kinds (`FFMA`) or of kinds with modifiers (`MUFU.EX2`)."""
        return sum(n for opcode, n in self.counts.items() if any(_is(opcode, kind) for kind in kinds))

    def count_of(self, part: str) -> int:
        """Instructions whose opcode holds `part`."""
        return sum(n for opcode, n in self.counts.items() if part in opcode)

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def special(self) -> int:
        """Special-function instructions."""
        return self.count("MUFU")

    @property
    def fp32(self) -> int:
        """FP32 multiplies, adds and multiply-adds; packed ones (FFMA2 and its like) are two."""
        return self.count("FFMA", "FADD", "FMUL") + 2 * self.count("FFMA2", "FADD2", "FMUL2")

    @property
    def fp32_selections(self) -> int:
        """FP32 comparisons, minima and selections."""
        return self.count("FMNMX", "FMNMX3", "FSETP", "FSET", "FSEL", "FCHK")

    @property
    def tensor(self) -> int:
        """Tensor core instructions."""
        return self.count("HMMA", "IMMA", "DMMA", "QMMA", "HGMMA", "IGMMA", "QGMMA", "UTCHMMA", "UTCQMMA", "UTCIMMA")

    @property
    def barriers(self) -> int:
        return self.count("BAR")

    @property
    def spills(self) -> int:
        """Accesses of local memory."""
        return self.count("LDL", "STL")

    def widths(self, kind: str) -> Counter[int]:
        """Bytes a thread accesses, with their counts, for `LDG`, `STG`, `LDS`, `STS`, `LDGSTS`, `LDL` or `STL`."""
        found: Counter[int] = Counter()
        for opcode, n in self.counts.items():
            if _is(opcode, kind):
                bits = _ACCESS_BITS.findall(opcode)
                found[int(bits[-1][1]) // 8 if bits else 4] += n
        return found

    def bytes(self, kind: str) -> int:
        """Bytes a thread accesses in all."""
        return sum(width * n for width, n in self.widths(kind).items())


def _is(opcode: str, kind: str) -> bool:
    return opcode == kind or opcode.startswith(kind + ".")


@dataclass(frozen=True)
class Loop:
    """A natural loop. `mix` leaves out the loops inside it; `depth` is 0 for outermost loops."""

    start: int
    end: int
    depth: int
    is_innermost: bool
    mix: InstructionMix


@dataclass
class MachineCode:
    """A kernel's instructions in order, and where its labels point."""

    name: str
    instructions: list[SassInstruction] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)

    @property
    def mix(self) -> InstructionMix:
        """Of the whole kernel, padding left out."""
        return _mix(ins for ins in self.instructions if ins.kind != "NOP")

    def loops(self) -> list[Loop]:
        """Natural loops, in the order of their first instruction."""
        starts = self._block_starts()
        ends = [*starts[1:], len(self.instructions)]
        successors = self._successors(starts, ends)
        bodies = _natural_loops(successors)
        found = []
        for header, body in sorted(bodies.items()):
            inner = [other for key, other in bodies.items() if key != header and other < body]
            own = body.difference(*inner)
            instructions = [ins for block in sorted(own) for ins in self.instructions[starts[block] : ends[block]]]
            depth = sum(body < other for key, other in bodies.items() if key != header)
            last = self.instructions[ends[max(body)] - 1].address
            found.append(Loop(self.instructions[starts[header]].address, last, depth, not inner, _mix(instructions)))
        return found

    def hot_loop(self, marker: str, rare: str = "") -> InstructionMix | None:
        """Of the innermost loop with most opcodes that hold `marker`: what one turn through a marked block executes.

        Branches that pass no marked block on their way through the loop are left out, and so are marked blocks that
        hold `rare`, and loops of nothing else, where there are other marked ones.
        """
        starts = self._block_starts()
        ends = [*starts[1:], len(self.instructions)]
        successors = self._successors(starts, ends)
        bodies = _natural_loops(successors)

        def count(block: int, part: str) -> int:
            return sum(part in ins.opcode for ins in self.instructions[starts[block] : ends[block]])

        most, found = (False, 0), None
        for header, body in bodies.items():
            own = body.difference(*(o for key, o in bodies.items() if key != header and o < body))
            marked = {block for block in own if count(block, marker)}
            usual = {block for block in marked if not rare or not count(block, rare)}
            if usual:
                own, marked = own - (marked - usual), usual
            rank = bool(usual), sum(count(block, marker) for block in marked)
            if marked and rank > most:
                most = rank
                latches = {block for block in own if header in successors[block]}
                ahead = {block: {n for n in successors[block] if n in own and n != header} for block in own}
                behind = {block: {n for n in own if block in ahead[n]} for block in own}
                whole = _reached({header} & own, ahead) & _reached(latches, behind)
                passed = sorted((_reached(marked, ahead) | _reached(marked, behind)) & whole)
                found = _mix(ins for b in passed for ins in self.instructions[starts[b] : ends[b]])
        return found

    def _block_starts(self) -> list[int]:
        starts = {0, *self.labels.values()}
        starts |= {number + 1 for number, ins in enumerate(self.instructions) if ins.kind in _ENDS}
        return sorted(start for start in starts if start < len(self.instructions))

    def _successors(self, starts: list[int], ends: list[int]) -> list[set[int]]:
        block_at = {start: number for number, start in enumerate(starts)}
        reconvergence: dict[str, str] = {}
        successors: list[set[int]] = []
        for number, end in enumerate(ends):
            for ins in self.instructions[starts[number] : end]:
                if ins.kind == "BSSY" and (target := _TARGET.search(ins.operands)):
                    reconvergence[ins.operands.split(",")[0].strip()] = target[1]
            last = self.instructions[end - 1]
            following: set[int] = set()
            target = _TARGET.search(last.operands)
            # Only a warp that has diverged takes BRA.DIV: elsewhere the instructions after it do without the detour.
            jumps = last.kind in ("BRA", "CALL") and not _is(last.opcode, "BRA.DIV")
            label = target[1] if target and jumps else None
            if last.kind == "BSYNC":
                label = reconvergence.get(last.operands.split(",")[0].strip())
            if label in self.labels:
                following.add(block_at[self.labels[label]])
            goes_on = last.kind not in _ENDS or last.kind == "CALL" or _is_conditional(last)
            if goes_on and number + 1 < len(starts):
                following.add(number + 1)
            successors.append(following)
        return successors


# A call may be a jump out of a loop: ptxas writes jumps to distant code so.
_ENDS = ("BRA", "BRX", "JMP", "JMX", "CALL", "EXIT", "RET", "BSYNC", "KILL", "BPT")


def _is_conditional(ins: SassInstruction) -> bool:
    if ins.predicate:
        return True
    before = ins.operands.split("`")[0]
    return ins.kind == "BRA" and (_is(ins.opcode, "BRA.DIV") or bool(re.search(r"\bU?P\d", before)))


def _mix(instructions: Iterable[SassInstruction]) -> InstructionMix:
    return InstructionMix(Counter(ins.opcode for ins in instructions))


def _reached(blocks: set[int], following: dict[int, set[int]]) -> set[int]:
    found, pending = set(), list(blocks)
    while pending:
        block = pending.pop()
        if block not in found:
            found.add(block)
            pending.extend(following[block])
    return found


def _natural_loops(successors: list[set[int]]) -> dict[int, set[int]]:
    """Header to blocks: for every edge to a block that dominates its source, of those that the entry reaches."""
    reached = _reached({0}, dict(enumerate(successors)))
    successors = [following if block in reached else set() for block, following in enumerate(successors)]
    dominators = _dominators(successors)
    predecessors: list[set[int]] = [set() for _ in successors]
    for block, following in enumerate(successors):
        for other in following:
            predecessors[other].add(block)
    bodies: dict[int, set[int]] = {}
    for block, following in enumerate(successors):
        for header in following & dominators[block]:
            if header == block and successors[block] == {block}:
                continue  # the trap that ends every kernel branches to itself
            body = bodies.setdefault(header, {header})
            pending = [block]
            while pending:
                one = pending.pop()
                if one not in body:
                    body.add(one)
                    pending.extend(predecessors[one])
    return bodies


def _dominators(successors: list[set[int]]) -> list[set[int]]:
    count = len(successors)
    predecessors: list[set[int]] = [set() for _ in range(count)]
    for block, following in enumerate(successors):
        for other in following:
            predecessors[other].add(block)
    dominators = [{0}] + [set(range(count)) for _ in range(count - 1)]
    changed = True
    while changed:
        changed = False
        for block in range(1, count):
            known = [dominators[other] for other in predecessors[block]]
            new = (set.intersection(*known) if known else set()) | {block}
            if new != dominators[block]:
                dominators[block], changed = new, True
    return dominators


def parse_sass(text: str) -> dict[str, MachineCode]:
    """Kernels by name, from the output of `nvdisasm -c`."""
    kernels: dict[str, MachineCode] = {}
    current: MachineCode | None = None
    for line in text.splitlines():
        if match := _FUNCTION.match(line):
            current = kernels.setdefault(match[1], MachineCode(match[1]))
        elif current is not None and (match := _LABEL.match(line)):
            current.labels[match[1]] = len(current.instructions)
        elif current is not None and (match := _INSTRUCTION.match(line)):
            instruction = SassInstruction(int(match[1], 16), match[3], match[2] or "", match[4].strip())
            current.instructions.append(instruction)
    return kernels


@functools.lru_cache(maxsize=16)
def disassemble(cubin: bytes, nvdisasm: Path) -> dict[str, MachineCode]:
    """Kernels of a cubin by name."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        text = subprocess.run([nvdisasm, "-c", file.name], capture_output=True, text=True, check=True).stdout
    return parse_sass(text)
