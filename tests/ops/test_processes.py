"""Threads, forked workers and spawned processes each get right numbers."""

import multiprocessing
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

import seq2seq_fast
from tests.support.cases import attention_case, decoder_case, run_decoder
from tests.support.engines import ENGINES

CPU_ENGINES = [engine for engine in ENGINES if engine.device == "cpu"]


def work(backend: str) -> float:
    case = attention_case(9, 6, 33, 65, 17)
    decoder = decoder_case(batch=9, hidden=33)
    context, _ = seq2seq_fast.additive_attention(*case.differentiable, backend=backend)
    states = run_decoder(list(decoder.tensors.values()), decoder.options, backend)[0]
    loss = context.sum() + states.sum()
    loss.backward()
    return float(loss.detach() + case.query.grad.sum() + decoder.tensors["weight_hh"].grad.sum())


def _in_child(backend: str, results) -> None:
    torch.set_num_threads(1)
    results.put(work(backend))


@pytest.mark.parametrize("engine", CPU_ENGINES, ids=str)
def test_python_threads_can_call_at_once(engine):
    alone = work(engine.backend)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: work(engine.backend), range(8))) == pytest.approx([alone] * 8, rel=1e-5)


@pytest.mark.parametrize("engine", CPU_ENGINES, ids=str)
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_worker_processes_get_the_same_numbers(engine, method):
    alone = work(engine.backend)
    context = multiprocessing.get_context(method)
    results = context.Queue()
    child = context.Process(target=_in_child, args=(engine.backend, results))
    child.start()
    found = results.get(timeout=300)
    child.join(60)
    assert child.exitcode == 0 and found == pytest.approx(alone, rel=1e-5)


@pytest.mark.parametrize("engine", CPU_ENGINES, ids=str)
def test_one_thread_and_many_agree_to_rounding(engine):
    threads = torch.get_num_threads()
    found = []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            case = attention_case(7, 5, 31, 65, 17)
            context, weights = seq2seq_fast.additive_attention(*case.differentiable, backend=engine.backend)
            context.sum().backward()
            found.append((context, weights, *(t.grad for t in case.differentiable)))
    finally:
        torch.set_num_threads(threads)
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            torch.testing.assert_close(a, b)
