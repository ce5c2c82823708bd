"""What the doctor says on the terminal while it works."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from typing import TextIO

from seq2seq_fast.doctor.results import Check, Findings, Timing
from seq2seq_fast.doctor.tables import (
    BACKEND_HEAD,
    TIMING_HEAD,
    aligned,
    backend_rows,
    check_row,
    environment_rows,
    failures,
    summary,
    timing_rows,
)

_COLOURS = {"ok": "32", "FAIL": "1;31"}
# Of a failed check so many tensors are told; the report has them all.
_TOLD = 3


class Console:
    """Lines on ``out``, and one line of progress on ``err`` where that is a terminal."""

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None):
        self.out, self.err = out or sys.stdout, err or sys.stderr
        self._colour = self.out.isatty() and "NO_COLOR" not in os.environ
        self._progress = self.err.isatty()
        self._heading: tuple[str, str] | None = None
        self._told: list[str] = []

    def line(self, text: str = "") -> None:
        self.clear_progress()
        print(text, file=self.out, flush=True)

    def section(self, title: str) -> None:
        self.line(f"\n{title}")

    def note(self, text: str) -> None:
        """A paragraph."""
        for line in textwrap.wrap(text, width=min(100, shutil.get_terminal_size().columns) - 2):
            self.line(f"  {line}")

    def progress(self, text: str) -> None:
        """Say what is being done, in place of what was said last."""
        if self._progress:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r\x1b[K{f'... {text}'[:width]}", end="", file=self.err, flush=True)

    def clear_progress(self) -> None:
        if self._progress:
            print("\r\x1b[K", end="", file=self.err, flush=True)

    def environment(self, findings: Findings) -> None:
        self.section("Environment")
        for line in aligned(environment_rows(findings.environment)):
            self.line(line)
        self.section("Backends")
        for line in aligned([BACKEND_HEAD, *backend_rows(findings.environment)]):
            self.line(line)

    def check(self, check: Check) -> None:
        """One line, below a heading where the backend or the operator is another than before."""
        if (check.backend, check.operator) != self._heading:
            self._heading, self._told = (check.backend, check.operator), []
            self.line(f"  {check.backend}: {check.operator}")
        self._check(check, f"{check.dtype:<8}  {check.name:<19}")

    def _check(self, check: Check, named: str) -> None:
        *_, error, allowed, result, tensor = check_row(check)
        told = f"error {error:>7}  allowed {allowed:>7}"
        self.line(f"    {named}  {told}  {self._painted(result)}  {tensor}".rstrip())
        if check.explanations and check.explanations == self._told:
            self.line("      the same")
        else:
            for explanation in check.explanations[:_TOLD]:
                self.line(f"      {explanation}")
            if len(check.explanations) > _TOLD:
                self.line(f"      and {len(check.explanations) - _TOLD} more tensors")
        self._told = check.explanations

    def timings(self, title: str, checks: list[Check], timings: list[Timing]) -> None:
        """An operator's checks at the size that is timed, then its times."""
        self.line(f"  {title}")
        for check in checks:
            self._check(check, f"{'checked':<8}  {check.backend:<19}")
        if not timings:
            return
        rows = [row[1:] for row in (TIMING_HEAD, *timing_rows(timings))]
        for line in aligned(rows, indent="    ", right=(2, 3, 4, 5)):
            self.line(line)

    def close(self, findings: Findings) -> None:
        if findings.not_run:
            self.section("Not run")
            for left_out in findings.not_run:
                self.line(f"  {left_out.what}: {left_out.why}")
        self.section("Result")
        for line in summary(findings):
            self.line(f"  {self._painted('FAIL', line) if 'FAILED' in line else line}")
        for line in failures(findings):
            self.line(f"    {line}")

    def _painted(self, result: str, text: str = "") -> str:
        text = text or f"{result:<4}"
        return f"\x1b[{_COLOURS[result]}m{text}\x1b[0m" if self._colour else text
