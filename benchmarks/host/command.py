"""``python -m benchmarks host``: microseconds of the host a decoder position, and launches, of every path."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import torch

from benchmarks.host.passes import PATHS, SIZES, HostPass, measure
from benchmarks.quietness import load_warning
from benchmarks.tables import aligned


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m benchmarks host",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Time the host's part of a decoder's passes, on one thread, with devices that are not there: each\n"
        "path does all that it does on a GPU up to the launch, which is counted and returns. No GPU is needed, and\n"
        "no time of one is printed: a device that is faster than the host waits for it, one that is slower hides it.",
        epilog="columns:\n"
        "  launches      kernels of ours in a sequence of 50 positions; library: those of torch's operators, which\n"
        "                run on the CPU here, on tensors so small that the call itself is what takes time\n"
        "  us/position   host microseconds of the fastest round, over its positions; eager's records for autograd\n"
        "  us/launch     the same over all kernels, ours and the library's\n\n"
        "Kernels of Triton are compiled first, which takes a minute the first time.\n",
    )
    made.add_argument("--path", nargs="+", choices=PATHS, default=list(PATHS), help="default: all")
    made.add_argument("--cell", nargs="+", choices=("gru", "lstm"), default=["gru", "lstm"], help="default: both")
    made.add_argument("--rounds", type=int, default=30, metavar="N", help="default: %(default)s")
    return made


def table(passes: Sequence[HostPass], positions: int = SIZES.target) -> str:
    lines = [("path", "cell", "pass", "launches", "library", "us/position", "us/launch")]
    for one in passes:
        kernels = one.launches + one.library
        lines.append((
            one.path, one.cell, one.passed, str(one.launches), str(one.library),
            f"{1e6 * one.seconds / positions:.1f}", f"{1e6 * one.seconds / kernels:.1f}",
        ))  # fmt: skip
    return "\n".join(aligned(lines))


def main(arguments: Sequence[str] | None = None) -> int:
    made = parser()
    options = made.parse_args(arguments)
    if options.rounds < 1:
        made.error(f"--rounds is at least 1, not {options.rounds}")
    warning = load_warning()
    if warning:
        print(warning, file=sys.stderr)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        passes = [one for cell in options.cell for path in options.path for one in measure(path, cell, options.rounds)]
    finally:
        torch.set_num_threads(threads)
    print(table(passes))
    return 0
