"""What a run of the doctor found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from seq2seq_fast.cases.comparison import Comparison


@dataclass(frozen=True)
class Check:
    """One check of one operator in one dtype on one backend.

    Attributes:
        worst: the tensor that uses the largest part of its allowed error; None where the call raised.
        failed: every tensor that is further off than allowed.
        compared: how many tensors were.
        error: one line, where the call raised; empty otherwise.
    """

    backend: str
    operator: str
    dtype: str
    name: str
    worst: Comparison | None
    failed: tuple[Comparison, ...] = ()
    compared: int = 0
    error: str = ""

    @property
    def passed(self) -> bool:
        return not self.error and not self.failed

    @property
    def explanations(self) -> list[str]:
        """One line for each thing that is wrong."""
        if self.error:
            return [self.error]
        return [off.explanation for off in self.failed]


@dataclass(frozen=True)
class Timing:
    """One contender's pass of one operator.

    Attributes:
        passed: "forward" or "forward+backward".
        contender: "eager", "torch.compile" or a backend, with " graph" where a CUDA graph of it is replayed.
        median_ms, low_ms, high_ms: median, tenth and ninetieth percentile of the rounds.
        rounds: how many there were.
        first_call_s: the first call, compiling included.
        speedup: eager's median over this one's.
    """

    operator: str
    passed: str
    contender: str
    median_ms: float
    low_ms: float
    high_ms: float
    rounds: int
    first_call_s: float
    speedup: float


@dataclass(frozen=True)
class NotRun:
    """Something that was left out, and why."""

    what: str
    why: str


@dataclass
class Findings:
    """Everything that a run found, in the order in which it was found.

    Attributes:
        environment: versions, devices and backends, as :func:`seq2seq_fast.doctor.environment.describe` gives them.
        options: what was asked for.
        timed_at: sizes by operator, as text.
        interrupted: somebody ended the run early.
        lost: why the device could not go on; empty where it could.
    """

    environment: dict[str, Any]
    options: dict[str, Any]
    checks: list[Check] = field(default_factory=list)
    timings: list[Timing] = field(default_factory=list)
    timed_at: dict[str, str] = field(default_factory=dict)
    not_run: list[NotRun] = field(default_factory=list)
    seconds: float = 0.0
    interrupted: bool = False
    lost: str = ""

    @property
    def failed(self) -> list[Check]:
        return [check for check in self.checks if not check.passed]

    @property
    def healthy(self) -> bool:
        return not self.failed and not self.lost

    def leave_out(self, what: str, why: str) -> None:
        self.not_run.append(NotRun(what, why))
