"""``python -m benchmarks gpu-report``: what the compiled GPU kernels need and do, counted without a GPU."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.gpu_report.cuda import workloads as cuda_workloads
from benchmarks.gpu_report.decoder_steps import STEP_DEVICES, DecoderStep, decoder_steps, step_table
from benchmarks.gpu_report.machine_code.devices import RATES, Rates
from benchmarks.gpu_report.passes import Traced
from benchmarks.gpu_report.rows import collect, write
from benchmarks.gpu_report.sizes import ATTENTION
from benchmarks.gpu_report.tables import goals, kernel_table, operator_table
from benchmarks.gpu_report.triton import workloads as triton_workloads
from benchmarks.gpu_report.triton.decoder import decoder_step_launches
from benchmarks.results import FOLDER
from build_support import cuda
from build_support.toolchain import Unavailable
from seq2seq_fast.triton_kernels import launch

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
ENGINES = ("triton", "cuda")


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m benchmarks gpu-report",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Compile the Triton and the CUDA kernels for GPUs, at the launch parameters that ship, and count\n"
        "what they need and do. No GPU is needed, and nothing here is a measured time.",
        epilog="columns:\n"
        "  bytes/least    what programs ask of memory, each byte once a program, over the operator's tensors\n"
        "  special, FP32  instructions of the machine code's inner loop for one unit: a query, a position, an\n"
        "                 attention unit\n"
        "  in flight      bytes that the loop's wide loads keep under way on a multiprocessor (on average, idle ones\n"
        "                 included), and what the device's bandwidth times its latency asks for\n"
        "  bound          the largest of the times for bytes, special functions and FP32 at published rates: no run\n"
        "                 is faster; launch latencies come on top. A decoder in one launch: what its plan says\n"
        "  a step         of a decoder, all of a pass divided by its positions, every path at the same prices:\n"
        "                 bytes at the second cache's rate, a kernel that waits for another one barrier of the grid\n\n"
        "examples:\n"
        "  python -m benchmarks gpu-report                          everything: a few minutes on two cores\n"
        "  python -m benchmarks gpu-report --device H100 --dtype bfloat16\n",
    )
    made.add_argument("--device", nargs="+", choices=RATES, default=list(RATES), help="default: all")
    made.add_argument("--engine", nargs="+", choices=ENGINES, default=list(ENGINES), help="default: both")
    made.add_argument("--dtype", nargs="+", choices=DTYPES, default=list(DTYPES), help="default: all")
    kernels = FOLDER / "gpu_report" / "kernels.csv"
    made.add_argument("--output", type=Path, default=kernels, metavar="FILE", help="default: %(default)s")
    return made


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        filled = 40 * done // total
        end = "\n" if done == total else ""
        print(f"\rcompiling [{'#' * filled}{'.' * (40 - filled)}] {done}/{total}", end=end, file=sys.stderr, flush=True)


def passes(engines: Sequence[str], devices: Sequence[Rates], dtypes: Sequence[torch.dtype]) -> dict[str, list[Traced]]:
    """What is compiled and counted, by device."""
    made = {}
    for rates in devices:
        with launch.assuming(rates.multiprocessors):
            triton = triton_workloads.operators(dtypes) if "triton" in engines else []
        made[rates.name] = [*triton, *(cuda_workloads.operators(rates, dtypes) if "cuda" in engines else ())]
    return made


def _engines(asked: Sequence[str]) -> list[str]:
    """Without nvcc the CUDA engine is left out, and a line says so."""
    try:
        cuda.find_nvcc()
    except Unavailable as error:
        if "cuda" in asked:
            print(f"The CUDA engine is left out: {error}\n")
        return [engine for engine in asked if engine != "cuda"]
    return list(asked)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    devices, dtypes = [RATES[name] for name in options.device], [DTYPES[name] for name in options.dtype]
    traced = passes(_engines(options.engine), devices, dtypes)
    rows = collect(traced, devices, _progress)
    write(options.output, rows)
    sizes = "; ".join(f"{name}: B={b} Tq={q} Tx={t} A={a} D={d}" for name, (b, q, t, a, d) in ATTENTION.items())
    print(f"Kernels ({sizes})\n{kernel_table(rows)}\n")
    print(f"Passes, launches and library products together\n{operator_table(traced, rows, devices)}\n")
    steps = decoder_steps(rows, [rates for rates in devices if rates.name in STEP_DEVICES], dtypes)
    output = options.output.with_name("decoder_steps.csv")
    write(output, steps, DecoderStep)
    print(f"A step of the decoder: least microseconds (launches)\n{step_table(steps)}\n")
    for cell in ("gru", "lstm"):
        ours, eager = decoder_step_launches(cell, dtypes[0])
        print(f"Triton, {cell} decoder, forward: {ours} launches a step, eager {eager} (goal 4 at most)")
    for engine in dict.fromkeys(row.engine for row in rows):
        own = [one for one in traced[devices[0].name] if one.engine == engine]
        print(f"\nGoals, {engine}")
        print("\n".join(f"  {line}" for line in goals(own, [row for row in rows if row.engine == engine])))
    print(f"\nCounted from compiled code; no time here was measured. Wrote {options.output} and {output}")
    return 0
