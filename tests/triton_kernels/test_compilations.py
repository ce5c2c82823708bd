"""What an epoch of batches of all sizes compiles: each variant stalls a training for a second or more."""

import importlib
import itertools
import random
from collections import Counter
from types import SimpleNamespace

import pytest
import torch
from triton.runtime.jit import JITFunction

from benchmarks.gpu_report.machine_code.devices import RATES
from benchmarks.host import no_device
from seq2seq_fast.ops.attention_decoder import GATES
from seq2seq_fast.triton_kernels.attention_decoder import attention_decoder_forward
from seq2seq_fast.triton_kernels.attention_decoder_backward import attention_decoder_backward
from seq2seq_fast.triton_kernels.key_exponentials import key_exponentials
from tests.support.engines import dtype_name

TOKENS, BATCHES, MOST = 4000, 150, 12
NUMBERS = itertools.count(1 << 24)
DECODERS = [("gru", True), ("gru", False), ("lstm", True), ("rnn", True)]


@pytest.fixture
def compiled(monkeypatch):
    """Kernels by name, with the variants that Triton would have compiled; products are left out."""
    counts: Counter[str] = Counter()

    def note(kernel, key, signature, device, *rest):
        counts[kernel.__name__] += 1
        made = SimpleNamespace(function=0, packed_metadata=(), launch_metadata=lambda *_: None, run=lambda *_: None)
        kernel.device_caches[device][0][key] = made
        return made

    def product(a, b, *rest, out=None):
        return out if out is not None else a.new_empty(*a.shape[:-1], b.shape[-1], dtype=torch.float32)

    monkeypatch.setattr(JITFunction, "_do_compile", note)
    for name in ("attention_decoder", "attention_decoder_backward"):
        module = importlib.import_module(f"seq2seq_fast.triton_kernels.{name}")
        for function in ("product", "batched_product"):
            if hasattr(module, function):
                monkeypatch.setattr(module, function, product)
    monkeypatch.setattr(torch, "matmul", lambda a, b: a.new_empty(*a.shape[:-1], b.shape[-1]))
    monkeypatch.setattr(torch, "bmm", lambda a, b: a.new_empty(*a.shape[:-1], b.shape[-1]))
    # A device of the test's own: Triton keeps what it compiled by the device's number.
    monkeypatch.setattr(no_device, "NUMBER", next(NUMBERS))
    with no_device.no_triton_device(RATES["H100"]):
        yield counts


def train_on(batch, target, positions, size, cell, reset_after, dtype):
    """What one training step launches."""
    rows = GATES[cell] * size

    def empty(*shape, dtype=dtype):
        return torch.empty(shape, dtype=dtype)

    keys, state = empty(batch, positions, size), empty(batch, size, dtype=torch.float32)
    cell_state = state if cell == "lstm" else None
    exponentials, in_range = key_exponentials(keys)
    bias = empty(rows)
    given = (
        empty(batch, target, size), state, cell_state, keys, empty(batch, positions, 2 * size), exponentials, in_range,
        empty(size, size), None, empty(size), empty(rows, 3 * size), empty(rows, size), bias, bias,
        torch.full((batch,), positions), None, None, cell, reset_after,
    )  # fmt: skip
    states, contexts, weights, final_cell, *saved = attention_decoder_forward(*given)
    grad_cell = final_cell if cell == "lstm" else None
    attention_decoder_backward(
        states, contexts, None, grad_cell, *given, states, contexts, weights, *saved, (True,) * 12
    )  # fmt: skip


def epoch(longest, *form):
    """Batches of a token budget over sentence pairs of all lengths, shuffled."""
    draw = random.Random(0)
    for _ in range(BATCHES):
        positions = draw.randint(1, longest)
        target = max(1, min(longest, positions + draw.randint(-4, 4)))
        # Few positions launch what many do: slices of buffers start wherever an odd number of rows ends.
        train_on(TOKENS // max(positions, target), min(target, 5), positions, *form)


@torch.no_grad()
@pytest.mark.parametrize("size", [64, 72])
def test_an_epoch_of_a_token_budget_compiles_few_variants(compiled, size):
    epoch(50, size, "gru", True, torch.float32)
    assert 0 < compiled.total() <= MOST, compiled


@torch.no_grad()
@pytest.mark.prove
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=dtype_name)
@pytest.mark.parametrize("longest", [50, 100, 400])
@pytest.mark.parametrize("size", [512, 1000, 300, 77])
@pytest.mark.parametrize("decoder", DECODERS, ids=str)
def test_every_decoder_compiles_few_variants_whatever_its_sizes(compiled, decoder, size, longest, dtype):
    epoch(longest, size, *decoder, dtype)
    # Reset before the product is one more kernel each way, and long sources of few rows are sums of shares.
    more = 2 if decoder == ("gru", False) else 0
    assert 0 < compiled.total() <= MOST + more, compiled
