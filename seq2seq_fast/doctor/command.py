"""The command ``seq2seq-fast doctor``, which needs torch alone: also ``python -m seq2seq_fast.doctor``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import torch

from seq2seq_fast.doctor import report
from seq2seq_fast.doctor.console import Console
from seq2seq_fast.doctor.examine import Plan, begin, examine
from seq2seq_fast.progress import tell
from seq2seq_fast.streams import lead_nowhere, provide_streams
from seq2seq_fast.version import __version__

DESCRIPTION = (
    "Show what is installed and which backends can run here, compare every usable backend with the reference in "
    "float64 on this machine, and time it beside eager PyTorch and torch.compile. On a GPU the findings are also "
    "written to a report that can be attached to a bug report. Exit status: 0 where every check passed, 1 where one "
    "failed, 2 where the doctor cannot run as asked, 130 when interrupted."
)
_FAILED, _USER_ERROR, _INTERRUPTED = 1, 2, 130


class CannotRun(Exception):
    """What was asked for is not to be had here."""


class _Parser(argparse.ArgumentParser):
    """What is wrong with the arguments in one line, as every other error."""

    def error(self, message: str) -> NoReturn:
        raise CannotRun(message)


def build_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="seq2seq-fast doctor", description=DESCRIPTION)
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to run; auto: cuda where there is one"
    )
    parser.add_argument(
        "--quick", action="store_true", help="fewer and smaller cases, no torch.compile: under 20 seconds on a CPU"
    )
    parser.add_argument("--no-timings", action="store_true", help="only check")
    parser.add_argument(
        "--report",
        type=Path,
        metavar="PATH",
        help="write PATH.md and PATH.json; without it a GPU's report goes to the current folder",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Args:
        arguments: instead of those that the process was started with.
    """
    provide_streams()
    try:
        given = build_parser().parse_args(arguments)
        plan = Plan(_device(given.device), quick=given.quick, timings=not given.no_timings)
        if given.report is not None:
            report.check_writable(given.report)
        findings = begin(plan)
        path = given.report
        if path is None and plan.device.type == "cuda":
            path = report.default_path(findings.environment)
            report.check_writable(path)
        console = Console()
        console.line(f"seq2seq-fast doctor {__version__}")
        console.environment(findings)
        examine(plan, findings, console)
        console.close(findings)
        if path is not None:
            markdown, machine = report.write(findings, path)
            console.line(f"  report: {markdown.absolute()} and {machine.name} beside it")
    except BrokenPipeError:
        lead_nowhere(sys.stdout)  # its reader has gone
        return _INTERRUPTED
    except (OSError, CannotRun) as error:
        return _fail(str(error), _USER_ERROR)
    except KeyboardInterrupt:
        return _fail("interrupted", _INTERRUPTED)
    if not findings.healthy:
        return _FAILED
    return _INTERRUPTED if findings.interrupted else 0


def _fail(message: str, code: int) -> int:
    tell(f"seq2seq-fast doctor: error: {' '.join(message.split())}")
    return code


def _device(asked: str) -> torch.device:
    available = torch.cuda.is_available()
    if asked == "cuda" and not available:
        why = "this torch is built without CUDA" if torch.version.cuda is None else "torch finds no CUDA device"
        raise CannotRun(f"--device cuda: {why} (torch {torch.__version__}); --device cpu runs here")
    return torch.device("cuda" if asked != "cpu" and available else "cpu")
