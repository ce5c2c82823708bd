"""``python -m benchmarks`` runs workloads; with the name of another room behind it, that one's command."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks import plots, registry, results, tables, targets
from benchmarks.quietness import load_warning, share_warning
from benchmarks.runner import Measured, Settings, measure
from benchmarks.workload import PASSES, Workload
from seq2seq_fast import backends
from seq2seq_fast.cases.race import BASELINES, usable_backends

# Rooms with a command of their own, and their folders.
COMMANDS = {"gpu-report": "gpu_report", "host": "host", "corpus": "corpus"}
DTYPES = {name: getattr(torch, name) for name in ("float64", "float32", "float16", "bfloat16")}


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Check each workload against the reference, then time it against eager PyTorch, torch.compile and "
        "(on CUDA) CUDA graphs, in interleaved rounds. `python -m benchmarks gpu-report` reports on the compiled GPU "
        "kernels instead, without a GPU; `host` times Python's part of a decoder; `corpus` a corpus's preparation. "
        "Figures of workloads that are not run now stay as they are; other machines' are printed beside the new ones.",
    )
    add = made.add_argument
    add("--device", default="cpu", help="cpu, cuda or cuda:N (default: %(default)s)")
    add("--dtype", nargs="+", choices=DTYPES, help="default: float32, on CUDA bfloat16 too")
    add("--workload", nargs="+", default=[], metavar="GLOB", help="names or globs; a name takes in what is below it")
    add("--quick", action="store_true", help="the quick workloads alone")
    add("--list", action="store_true", help="print the names of the workloads that would run")
    add("--pass", dest="passes", nargs="+", choices=PASSES, default=list(PASSES), help="default: all")
    add(
        "--baseline", nargs="*", choices=BASELINES, default=list(BASELINES), help="default: all that the device can run"
    )
    add(
        "--backend",
        nargs="+",
        choices=tuple(backends()),
        help="default: every fused backend that can run; the reference where none can",
    )
    add(
        "--seconds",
        type=float,
        help="time for the rounds of a workload's forward, and of its training (default: 6, quick 3)",
    )
    add("--output", type=Path, metavar="FOLDER", help="default: a folder of this machine's own in benchmarks/results")
    add("--targets", action="store_true", help="print what the CPU engine aims at, and whether it is met")
    add("--report", action="store_true", help="measure nothing: print tables and draw pictures from latest.csv")
    add("--scale", type=int, default=1, metavar="N", help="divide every size by N to try the runner; needs --output")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments[:1] and arguments[0] in COMMANDS:
        return importlib.import_module(f"benchmarks.{COMMANDS[arguments[0]]}.command").main(arguments[1:])
    made = parser()
    options = made.parse_args(arguments)
    if options.scale > 1 and options.output is None:
        made.error("--scale needs an --output of its own: its figures are not results")
    try:
        workloads = registry.select(options.workload, options.quick)
    except ValueError as error:
        made.error(str(error))
    if options.list:
        print("\n".join(workload.name for workload in workloads))
        return 0
    device = current_device(options.device)
    about = results.provenance(device)
    folder = options.output or results.folder_of(about["machine"])
    held = results.machine_of(folder)
    if options.report:
        if held is None:
            made.error(f"--report: {folder} holds no figures; name another folder with --output, or measure first")
        rows, about = results.read(folder)
        print(tables.summary(rows))
        return _finish(rows, about, options, folder)
    if held not in (None, about["machine"]):
        made.error(f"--output: {folder} holds figures of {_words(held)}, and this is {_words(about['machine'])}; "
                   "leave --output away to use a folder of this machine's own")  # fmt: skip
    return _run([workload.scaled(options.scale) for workload in workloads], options, device, about, folder)


def _words(machine: dict[str, Any] | None) -> str:
    return ", ".join(f"{name} {value}" for name, value in (machine or {}).items())


def _run(
    workloads: Sequence[Workload], options: argparse.Namespace, device: torch.device, about: dict[str, Any],
    folder: Path,
) -> int:  # fmt: skip
    warning = load_warning()
    if warning:
        print(warning, file=sys.stderr)
    new: list[results.Row] = []
    failed, share = False, 0.0
    for dtype in options.dtype or (["float32", "bfloat16"] if device.type == "cuda" else ["float32"]):
        settings = Settings(
            device=device,
            dtype=DTYPES[dtype],
            passes=tuple(options.passes),
            baselines=tuple(options.baseline),
            backends=tuple(options.backend or usable_backends(device, DTYPES[dtype])),
            seconds=options.seconds or (3.0 if options.quick else 6.0),
        )
        for workload in workloads:
            measured = measure(workload, settings)
            print(tables.workload_table(workload, measured), end="\n\n", flush=True)
            new += measured.rows
            notes = {"operator": workload.operator.name, "sizes": dict(workload.case.sizes), dtype: _notes(measured)}
            _keep(folder, measured.rows, {**about, "workloads": {workload.name: notes}})
            failed = failed or any(name not in BASELINES for name in measured.failures)
            share = max(share, measured.others_share or 0.0)
    warning = share_warning(share)
    if warning:
        print(warning, file=sys.stderr)
    for name, theirs in results.of_other_folders(folder) if options.scale == 1 else ():
        table = tables.beside(new, theirs)
        if table:
            print(f"Beside the figures of {name}\n{table}\n")
    return _finish(*results.read(folder), options, folder) or int(failed)


def current_device(name: str) -> torch.device:
    """The device, made the current one: events, streams and graphs belong to that."""
    device = torch.device(name)
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)
    return device


def _notes(measured: Measured) -> dict[str, Any]:
    kept = {name: value for name, value in asdict(measured).items() if name != "rows"}
    return {**kept, **results.stamp()}


def _keep(folder: Path, rows: Sequence[results.Row], about: dict[str, Any]) -> None:
    """Put a workload's figures among those that the folder has: a run that is cut short keeps what it measured."""
    old: list[results.Row] = []
    if results.machine_of(folder) is not None:
        old, old_about = results.read(folder)
        notes = old_about["workloads"]
        for name, note in about["workloads"].items():
            notes[name] = {**notes.get(name, {}), **note}
        about = {**about, "workloads": notes}
    names = [workload.name for workload in registry.WORKLOADS]
    results.write(folder, results.merge(old, rows, names), about)


def _finish(rows: Sequence[results.Row], about: dict[str, Any], options: argparse.Namespace, folder: Path) -> int:
    if options.targets:
        ours = next((row.backend for row in reversed(rows) if row.backend not in BASELINES), "reference")
        print(targets.targets_table(rows, ours))
    for path in plots.draw(rows, folder):
        print(f"wrote {path}")
    print(f"{about['machine']['device']}, {about['machine']['threads']} threads, commit {about['commit']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
