"""Text of a PTX module to kernels and variables. Understands what nvcc and Triton (LLVM) write."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.emulators.ptx.errors import PtxSyntaxError
from tests.emulators.ptx.operands import Scopes, parse_operands
from tests.emulators.ptx.syntax import TYPE_BITS, Instruction, Kernel, Parameter, Variable

_ENTRY = re.compile(r"\.entry\s+([\w$]+)\s*(?:\(([^)]*)\))?([^{;]*)\{")
_DECLARATION = re.compile(
    r"(?P<extern>\.extern\s+)?(?:\.(?:visible|weak)\s+)?\.(?P<space>global|const|shared|local)\s+"
    r"(?:\.align\s+(?P<align>\d+)\s+)?\.(?P<type>\w+)\s+(?P<name>[\w$%]+)(?P<shape>(?:\s*\[\s*\d*\s*\])*)"
    r"(?:\s*=\s*(?P<data>.*))?$",
    re.S,
)
_PARAMETER = re.compile(r"\.param\s+(?:\.align\s+(\d+)\s+)?\.(\w+)\b.*?([\w$]+)\s*(?:\[(\d+)\])?\s*$", re.S)
_LABEL = re.compile(r"\s*([$%\w]+)\s*:(?!:)")
_STATEMENT = re.compile(r"(?:@(!?)\s*([%$\w]+)\s+)?([a-z][\w.:]*)\s*(.*)$", re.S)


def parse(text: str) -> tuple[dict[str, Kernel], list[Variable]]:
    """The kernels by name, and the variables of the module."""
    text = _without_comments(text)
    kernels: dict[str, Kernel] = {}
    outside = []
    position = 0
    while match := _ENTRY.search(text, position):
        outside.append(text[position : match.start()])
        end = _closing_brace(text, match.end())
        first_line = text.count("\n", 0, match.end()) + 1
        kernels[match[1]] = _parse_kernel(match[1], match[2] or "", text[match.end() : end], first_line)
        position = end + 1
    outside.append(text[position:])
    variables = [_variable(match) for part in outside for match in _module_declarations(part)]
    if not kernels:
        raise PtxSyntaxError("the text holds no .entry")
    return kernels, variables


def _without_comments(text: str) -> str:
    """Comments, debug information and line directives become blank; line numbers stay."""

    def blank(match: re.Match[str]) -> str:
        return "\n" * match[0].count("\n")

    text = re.sub(r"/\*.*?\*/|//[^\n]*", blank, text, flags=re.S)
    text = re.sub(r"\.section\s+\.\w+\s*\{.*?\}", blank, text, flags=re.S)
    return re.sub(r"^\s*\.(?:loc|file)\b[^\n]*", "", text, flags=re.M)


def _closing_brace(text: str, start: int) -> int:
    depth = 1
    for match in re.compile(r"[{}]").finditer(text, start):
        depth += 1 if match[0] == "{" else -1
        if depth == 0:
            return match.start()
    raise PtxSyntaxError("a kernel's body does not end")


def _module_declarations(text: str) -> Iterator[re.Match[str]]:
    for statement in text.split(";"):
        start = re.search(r"(?:\.extern\s+|\.visible\s+|\.weak\s+)*\.(?:global|const|shared)\s", statement)
        if start and (match := _DECLARATION.match(statement[start.start() :].strip())):
            yield match


def _variable(match: re.Match[str]) -> Variable:
    size = TYPE_BITS[match["type"]] // 8
    shape = re.findall(r"\[\s*(\d*)\s*\]", match["shape"])
    for extent in shape:
        size *= int(extent or 0)
    data = b""
    if match["data"]:
        numbers = re.findall(r"0[xX][0-9a-fA-F]+|-?\d+", match["data"])
        if re.search(r"[A-Za-z_$]", re.sub(r"0[xXfFdD][0-9a-fA-F]+", "", match["data"])):
            raise PtxSyntaxError(f"initial value of {match['name']} is not a list of integers")
        width = TYPE_BITS[match["type"]] // 8
        data = b"".join((int(n, 0) % (1 << 8 * width)).to_bytes(width, "little") for n in numbers)
    align = int(match["align"] or TYPE_BITS[match["type"]] // 8)
    return Variable(match["name"], match["space"], align, size, data, bool(match["extern"]) or "" in shape)


def _parameters(text: str) -> list[Parameter]:
    parameters = []
    offset = 0
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = _PARAMETER.match(part)
        if not match:
            raise PtxSyntaxError(f"parameter not understood: {part}")
        width = TYPE_BITS[match[2]] // 8
        size = width * int(match[4] or 1)
        # In LLVM's ".param .u64 .ptr .global .align 1 name" the alignment is the pointee's, not the parameter's.
        align = max(width, int(match[1] or 1))
        offset = -(-offset // align) * align
        parameters.append(Parameter(match[3], match[2], offset, size, match[4] is not None))
        offset += size
    return parameters


def _statements(body: str, first_line: int) -> Iterator[tuple[str, str, int]]:
    """("label" | "open" | "close" | "statement", text, line), telling scopes from the braces of vectors."""
    line = start_line = first_line
    pending = ""
    vector_depth = 0
    for piece in re.findall(r"[;{}]|[^;{}]+", body):
        while not pending and (label := _LABEL.match(piece)):
            line += piece[: label.end()].count("\n")
            piece = piece[label.end() :]
            yield "label", label[1], line
        if piece == ";" and vector_depth == 0:
            if pending:
                yield "statement", pending, start_line
            pending = ""
        elif piece in "{}" and piece and not pending:
            yield ("open" if piece == "{" else "close"), "", line
        elif pending or piece.strip():
            if not pending:
                start_line = line + piece[: len(piece) - len(piece.lstrip())].count("\n")
                piece_text = piece.lstrip()
            else:
                piece_text = piece
            vector_depth += (piece == "{") - (piece == "}")
            pending += piece_text
        line += piece.count("\n")
    if pending.strip():
        raise PtxSyntaxError(f"PTX line {start_line}: statement does not end: {pending.strip()}")


def _parse_kernel(name: str, parameters: str, body: str, first_line: int) -> Kernel:
    kernel = Kernel(name, _parameters(parameters))
    scopes = Scopes()
    last_label = ""
    for what, text, line in _statements(body, first_line):
        if what == "open":
            scopes.open()
        elif what == "close":
            scopes.close()
        elif what == "label":
            last_label = text
            kernel.labels[text] = len(kernel.instructions)
        else:
            _parse_statement(kernel, scopes, " ".join(text.split()), line, last_label)
    return kernel


def _parse_statement(kernel: Kernel, scopes: Scopes, text: str, line: int, last_label: str) -> None:
    if text.startswith(".reg"):
        scopes.declare(text, line)
    elif text.startswith(".branchtargets"):
        kernel.branch_targets[last_label] = tuple(part.strip() for part in text[len(".branchtargets") :].split(","))
    elif match := _DECLARATION.match(text):
        kernel.variables.append(_variable(match))
    elif text.startswith(".pragma"):
        return
    elif match := _STATEMENT.match(text):
        predicate = scopes.register(match[2], line) if match[2] else None
        operands = parse_operands(match[4], scopes, line)
        kernel.instructions.append(Instruction(match[3], operands, predicate, match[1] == "!", line, text))
    else:
        raise PtxSyntaxError(f"PTX line {line}: statement not understood: {text}")
