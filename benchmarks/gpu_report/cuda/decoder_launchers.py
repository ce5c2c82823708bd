"""The decoder in one launch: its kernels' instances, grids, shared memory, and the bytes that their steps ask for."""

from __future__ import annotations

from benchmarks.gpu_report.cuda.launchers import TYPES, Arguments, Kernel, bytes_of
from seq2seq_fast.cuda_kernels.plan import MOST_COLUMNS, ceil_div, shared_bytes
from seq2seq_fast.cuda_kernels.plan_backward import backward_shared_bytes


def decoder_forward(a: Arguments) -> list[Kernel]:
    steps, blocks, slices, wide = a["target"], a["blocks"], a["slices"], a["dtype"] == 0
    sizes = (a["batch"], a["positions"], a["units"], a["hidden"], a["gates"])
    shared = shared_bytes(*sizes, a["rows"], slices, a["keys_resident"], 4 if wide else 2)
    keys = slices if a["keys_resident"] else slices * steps
    moved = bytes_of(
        a, stacked=1, bias=1, v=blocks * steps, gates_input=1, projected=steps, state_mask=1 + steps, cell=1, state=1,
        states=2, cells=2, weights=1, queries=1 + slices, activations=1, recurrent=2 * steps,
        exchanged=steps + 1 + blocks * steps * ceil_div(a["rows"], MOST_COLUMNS), lengths=slices * steps,
        mask=slices * steps, exponentials=keys * wide, keys=keys * (not wide), in_range=slices * steps * wide,
    )  # fmt: skip
    return [Kernel("attention_decoder", f"decoder_kernel<{TYPES[a['dtype']]}>", (blocks,), shared, moved)]


def decoder_backward(a: Arguments) -> list[Kernel]:
    steps, blocks, parts = a["target"], a["blocks"], a["parts"]
    sizes = (a["batch"], a["positions"], a["units"], a["hidden"], a["gates"])
    shared = backward_shared_bytes(*sizes, a["rows"], parts, a["keys_resident"], 4 if a["dtype"] == 0 else 2)
    moved = bytes_of(
        a, transposed=1, v=a["batch"] * steps, projected=steps, state_mask=steps, grad_states=1, grad_weights=1,
        previous=a["gates"] > 1, cells=a["gates"] == 4, activations=1, weights=1, queries=1, grad_gates=1,
        grad_scores=1, partial=2 * steps, through=2 * steps * (a["gates"] > 1), lengths=steps, mask=steps,
        keys=1 if a["keys_resident"] else steps,
        grad_product=1 + blocks // parts * ceil_div(a["rows"], MOST_COLUMNS),
    )  # fmt: skip
    instance = f"reversed_decoder_kernel<{TYPES[a['dtype']]}>"
    return [Kernel("attention_decoder_backward", instance, (blocks,), shared, moved)]


LAUNCHES = {"attention_decoder_forward": decoder_forward, "attention_decoder_backward": decoder_backward}
