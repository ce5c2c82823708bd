"""The decoder by the CUDA engine: its passes, the plan of its one launch on a device, and the time that it bounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from benchmarks.gpu_report.cuda.launches import RecordingEngine
from benchmarks.gpu_report.decoder import DecoderPass, arguments, both_ways, decoder_pass
from benchmarks.gpu_report.eager import EagerTrace
from benchmarks.gpu_report.machine_code.devices import LIMITS, Rates
from benchmarks.gpu_report.sizes import DecoderSizes
from seq2seq_fast.cuda_kernels import attention_decoder
from seq2seq_fast.cuda_kernels.plan import DecoderPlan, Device, plan_decoder
from seq2seq_fast.cuda_kernels.plan_backward import plan_decoder_backward

BARRIERS = "barriers of the grid"
# Parts of the product's phase; all others but the barriers belong to attention's and the cell's.
PRODUCT = (
    "the state, read by every block", "gradients of queries and gates", "weights in shared memory",
    "the product's arithmetic",
)  # fmt: skip


def on_cuda(sizes: DecoderSizes, cell: str, dtype: torch.dtype, device: Device) -> tuple[DecoderPass, DecoderPass]:
    """Forward and backward by the CUDA engine; one launch each where the device's plan says so."""
    engine = RecordingEngine(device)

    def call(function: Callable, *arguments: object) -> tuple[DecoderPass, Any]:
        engine.launches = []
        with EagerTrace() as trace:
            results = function(engine, *arguments)
        return decoder_pass(engine.launches, trace, (arguments, results)), results

    return both_ways(call, attention_decoder.attention_decoder_forward, attention_decoder.attention_decoder_backward,
                 arguments(sizes, cell, dtype))  # fmt: skip


def described(rates: Rates) -> Device:
    """What a plan needs to know of it."""
    return Device(rates.multiprocessors, LIMITS[rates.capability].shared_per_block)


def plans(sizes: DecoderSizes, cell: str, dtype: torch.dtype, rates: Rates) -> tuple[DecoderPlan, DecoderPlan]:
    """Forward's and backward's."""
    given = dict(
        cell=cell, reset_after=True, batch=sizes.batch, positions=sizes.positions, units=sizes.units,
        hidden=sizes.hidden, itemsize=dtype.itemsize,
    )  # fmt: skip
    return plan_decoder(described(rates), **given), plan_decoder_backward(described(rates), **given)  # type: ignore[arg-type]


def step_cycles(plan: DecoderPlan) -> float:
    """Of one launch: the longest part of each of the two phases, and the barriers."""
    product = max(n for name, n in plan.cycles.items() if name in PRODUCT)
    attention = max(n for name, n in plan.cycles.items() if name not in PRODUCT and name != BARRIERS)
    return product + attention + plan.cycles[BARRIERS]


def one_launch_seconds(plan: DecoderPlan, steps: int, rates: Rates) -> float:
    """Of the launch itself, all of its steps."""
    return steps * step_cycles(plan) / rates.clock_hz
