"""Every instruction set that was built and that runs here gives the numbers of the one in use."""

import importlib
import os
import subprocess
import sys
import textwrap

import pytest
import torch

import seq2seq_fast
from seq2seq_fast.ops.cpu import CAPABILITIES

PROGRAM = """
    import sys, torch, seq2seq_fast
    torch.manual_seed(0)
    found = []
    for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
        for queries in (1, 7):
            query, keys, values, v = (torch.randn(s, dtype=torch.float64).to(dtype).requires_grad_()
                                      for s in ((3, queries, 37), (3, 9, 37), (3, 9, 21), (37,)))
            with torch.no_grad():
                query[0, 0] *= 50  # takes tanh itself
            context, weights = seq2seq_fast.additive_attention(query, keys, values, v, lengths=torch.tensor([9, 0, 4]))
            (context.sum() + (weights * weights).sum()).backward()
            found += [context, weights, query.grad, keys.grad, values.grad, v.grad]
        parts = [torch.randn(5, n * 19, dtype=torch.float64).to(dtype) for n in (3, 3, 1, 4, 4)]
        found += torch.ops.seq2seq_fast_cpu.gru_gates_forward(*parts[:3])
        found += torch.ops.seq2seq_fast_cpu.lstm_gates_forward(parts[3], parts[4], parts[2])
    torch.save([t.detach() for t in found], sys.argv[1])
    print(seq2seq_fast.backends()["cpu"].reason)
"""


def built_and_runnable():
    built = importlib.import_module("seq2seq_fast._build_info").CPU_CAPABILITIES
    detected = torch.backends.cpu.get_cpu_capability()
    here = CAPABILITIES[: 1 + (CAPABILITIES.index(detected) if detected in CAPABILITIES else 0)]
    return [capability for capability in here if capability in built]


@pytest.mark.skipif(not seq2seq_fast.backends()["cpu"].usable, reason="the CPU engine is not built")
def test_instruction_sets_agree(tmp_path):
    results = {}
    for capability in built_and_runnable():
        path = tmp_path / f"{capability}.pt"
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(PROGRAM), str(path)], capture_output=True, text=True, timeout=120,
            env={**os.environ, "SEQ2SEQ_FAST_CPU_CAPABILITY": capability},
        )  # fmt: skip
        assert done.returncode == 0 and done.stdout.strip() == capability, done.stdout + done.stderr
        results[capability] = torch.load(path)
    first, *others = results.values()
    for other in others:
        for a, b in zip(first, other, strict=True):
            torch.testing.assert_close(a, b)
