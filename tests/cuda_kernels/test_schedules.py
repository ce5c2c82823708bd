"""Results do not depend on the order in which blocks, warps and threads run; on a GPU, every run is another order."""

import pytest
import torch

from tests.ops.test_additive_attention import attention
from tests.support.cases import attention_case, decoder_case, run_decoder
from tests.support.truth import gradients

SCHEDULES = ("reverse", "round_robin", "random:1", "random:2")


def attention_bits(engine, queries, source, units, need_weights, dtype=torch.float32):
    case = attention_case(
        2, queries, source, units, 72, dtype=dtype, device=engine.device, lengths=[source, source // 3]
    )
    outputs, grads = gradients(attention(case, engine.backend, need_weights), case.differentiable)
    return [*outputs, *grads]


def decoder_bits(engine, cell, reset_after):
    case = decoder_case(
        cell,
        3,
        3,
        35,
        5,
        24,
        40,
        16,
        device=engine.device,
        reset_after=reset_after,
        state_mask=True,
        lengths=[35, 0, 9],
    )
    outputs, grads = gradients(
        lambda *t: run_decoder(list(t), case.options, engine.backend), list(case.tensors.values())
    )
    return [*outputs, *grads]


@pytest.mark.parametrize(
    "bits",
    [
        lambda engine: attention_bits(engine, None, 83, 264, True),
        lambda engine: attention_bits(engine, None, 83, 37, False, torch.bfloat16),
        lambda engine: attention_bits(engine, 6, 40, 128, True, torch.float16),
        lambda engine: attention_bits(engine, 6, 40, 33, False),
        lambda engine: decoder_bits(engine, "gru", True),
        lambda engine: decoder_bits(engine, "gru", False),
        lambda engine: decoder_bits(engine, "lstm", True),
    ],
    ids=["one-query", "one-query-odd", "queries", "queries-odd", "gru", "gru-before", "lstm"],
)
def test_the_bits_are_the_same_in_every_schedule(bits, monkeypatch, engine):
    monkeypatch.setenv("CUDAFIBER_SCHED", "forward")
    wanted = bits(engine)
    for schedule in SCHEDULES:
        monkeypatch.setenv("CUDAFIBER_SCHED", schedule)
        for a, b in zip(bits(engine), wanted, strict=True):
            assert torch.equal(a, b), schedule
