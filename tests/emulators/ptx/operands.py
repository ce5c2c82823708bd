"""Operands of an instruction, and the scopes that registers are declared in."""

from __future__ import annotations

import re
import struct

from tests.emulators.ptx.errors import PtxSyntaxError
from tests.emulators.ptx.syntax import (
    Address,
    Immediate,
    Negated,
    Operand,
    Pair,
    Register,
    Sink,
    Special,
    Symbol,
    Vector,
)

_SPECIAL = re.compile(
    r"%(?:(?:n?tid|n?ctaid|gridid)(?:\.[xyz])?|laneid|n?warpid|n?smid|lanemask_(?:eq|le|lt|ge|gt)"
    r"|clock(?:64|_hi)?|globaltimer(?:_lo|_hi)?|dynamic_smem_size|total_smem_size)$"
)
_INTEGER = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F]+|0[bB][01]+|\d+)U?$")
_REAL = re.compile(r"[-+]?\d*\.\d*(?:[eE][-+]?\d+)?$|[-+]?\d+[eE][-+]?\d+$")
_RANGE = re.compile(r"(.+?)<(\d+)>$")


class Scopes:
    """Registers by name, innermost scope first. A name declared in an inner scope hides the outer one."""

    def __init__(self) -> None:
        self._count = 0
        self._stack: list[tuple[int, dict[str, str], dict[str, tuple[int, str]]]] = [(0, {}, {})]

    def open(self) -> None:
        self._count += 1
        self._stack.append((self._count, {}, {}))

    def close(self) -> None:
        self._stack.pop()

    def declare(self, text: str, line: int) -> None:
        """`.reg .type name, name<count>, ...`"""
        match = re.match(r"\.reg\s*\.(\w+)\s+(.*)$", text)
        if not match or match[1] in ("v2", "v4"):
            raise PtxSyntaxError(f"PTX line {line}: declaration not understood: {text}")
        _, names, ranges = self._stack[-1]
        for name in (part.strip() for part in match[2].split(",")):
            if many := _RANGE.match(name):
                ranges[many[1]] = (int(many[2]), match[1])
            else:
                names[name] = match[1]

    def find(self, name: str) -> Register | None:
        numbered = re.match(r"(.*?)(\d+)$", name)
        for number, names, ranges in reversed(self._stack):
            unique = f"{name}@{number}" if number else name
            if name in names:
                return Register(unique, names[name])
            if numbered:
                count, kind = ranges.get(numbered[1], (0, ""))
                if int(numbered[2]) < count:
                    return Register(unique, kind)
        return None

    def register(self, name: str, line: int) -> Register:
        found = self.find(name)
        if found is None:
            raise PtxSyntaxError(f"PTX line {line}: register {name} is not declared")
        return found


def parse_operands(text: str, scopes: Scopes, line: int) -> tuple[Operand, ...]:
    """The operands of one instruction."""
    return tuple(_operand(part, scopes, line) for part in _split(text))


def _split(text: str) -> list[str]:
    parts: list[str] = []
    depth = 0
    current = ""
    for character in text:
        if character == "," and depth == 0:
            parts.append(current.strip())
            current = ""
            continue
        depth += (character in "{[(") - (character in "}])")
        current += character
    if current.strip():
        parts.append(current.strip())
    return parts


def _operand(text: str, scopes: Scopes, line: int) -> Operand:
    if text.startswith("{"):
        return Vector(tuple(_operand(part, scopes, line) for part in _split(text[1:-1])))
    if text.startswith("["):
        return _address(text[1:-1].strip(), scopes, line)
    if "|" in text:
        first, second = text.split("|")
        return Pair(_operand(first.strip(), scopes, line), _operand(second.strip(), scopes, line))
    if text == "_":
        return Sink()
    if text.startswith("!"):
        return Negated(scopes.register(text[1:].strip(), line))
    if register := scopes.find(text):
        return register
    if immediate := _immediate(text):
        return immediate
    if _SPECIAL.match(text):
        return Special(text)
    if match := re.match(r"([\w$]+)\s*(?:\+\s*(-?\w+))?$", text):
        return Symbol(match[1], int(match[2], 0) if match[2] else 0)
    raise PtxSyntaxError(f"PTX line {line}: operand not understood: {text}")


def _address(text: str, scopes: Scopes, line: int) -> Address:
    match = re.match(r"([%$\w]+)\s*(?:\+\s*(-?\w+))?$", text)
    if not match:
        raise PtxSyntaxError(f"PTX line {line}: address not understood: [{text}]")
    base = _operand(match[1], scopes, line)
    if not isinstance(base, Register | Symbol | Immediate):
        raise PtxSyntaxError(f"PTX line {line}: address not understood: [{text}]")
    return Address(base, int(match[2], 0) if match[2] else 0)


def _immediate(text: str) -> Immediate | None:
    if re.match(r"0[fF][0-9a-fA-F]{8}$", text):
        bits = int(text[2:], 16)
        return Immediate(bits, struct.unpack("<f", struct.pack("<I", bits))[0])
    if re.match(r"0[dD][0-9a-fA-F]{16}$", text):
        bits = int(text[2:], 16)
        return Immediate(bits, struct.unpack("<d", struct.pack("<Q", bits))[0])
    if _INTEGER.match(text):
        return Immediate(int(text.rstrip("U"), 0 if not re.match(r"[-+]?0\d", text) else 8))
    if _REAL.match(text):
        return Immediate(real=float(text))
    return None
