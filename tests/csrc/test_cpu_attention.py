"""What only the compiled engine promises: streams around the cache, 64-bit offsets, errors out of its threads."""

import math
import subprocess
import sys
import textwrap

import pytest
import torch

import seq2seq_fast
from seq2seq_fast import reference
from seq2seq_fast.ops.backends import raw
from tests.support.truth import assert_near, score_error

pytestmark = pytest.mark.skipif(not seq2seq_fast.backends()["cpu"].usable, reason="the CPU engine is not built")


def draw(batch, queries, source, units, size, dtype=torch.float32, scale=1.0):
    query, keys = torch.randn(batch, queries, units) * scale, torch.randn(batch, source, units) * scale
    tensors = query, keys, torch.randn(batch, source, size), torch.randn(units) / math.sqrt(units)
    return [t.to(dtype) for t in tensors]


def truth(query, keys, values, v, grad_context, mask=None):
    wide = [t.double().requires_grad_() for t in (query, keys, values, v)]
    context, weights = reference.attend(*wide, mask)
    return context, weights, torch.autograd.grad(context, wide, grad_context.double())


def compiled(query, keys, values, v, grad_context, lengths=None, mask=None, need_weights=True):
    source = keys, values, *raw("cpu").key_exponentials(keys)
    context, weights, logsumexp = raw("cpu").attend_forward(query, *source, v, lengths, mask, need_weights)
    rest = v, lengths, mask, context, weights, logsumexp, [True] * 4
    return context, weights, raw("cpu").attend_backward(grad_context, None, query, *source, *rest)


def assert_gradients(found, wanted, v, roundings=4):
    for name, a, b in zip(("query", "keys", "values", "v"), found, wanted, strict=True):
        assert_near(a, b, error=32 * score_error(v), roundings=roundings, name=name)


@pytest.mark.parametrize("size", [2048, 2047], ids=["aligned", "unaligned"])
def test_gradients_larger_than_the_cache_are_written_around_it(size):
    tensors = draw(40, 1, 51, 2048, size)
    lengths = torch.arange(40) + 12
    mask = torch.arange(51) < lengths[:, None]
    grad = torch.randn(40, 1, size)
    context, _, found = compiled(*tensors, grad, lengths=lengths)
    wanted_context, _, wanted = truth(*tensors, grad, mask)
    assert_near(context, wanted_context, error=8 * score_error(tensors[3]))
    assert_gradients(found, wanted, tensors[3])
    assert bool((found[1][~mask] == 0).all()) and bool((found[2][~mask] == 0).all())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("queries", [1, 70])
def test_queries_in_and_out_of_range_share_a_source(dtype, queries):
    tensors = draw(3, queries, 9, 21, 17, dtype)
    tensors[0][0, -1] *= 60
    tensors[1][2, 4] *= 60
    grad = torch.randn(3, queries, 17).to(dtype)
    wanted_context, _, wanted = truth(*tensors, grad)
    for need_weights in (True, False):
        context, _, found = compiled(*tensors, grad, need_weights=need_weights)
        assert_near(context, wanted_context, error=8 * score_error(tensors[3]), roundings=2)
        assert_gradients(found, wanted, tensors[3])


def test_the_same_inputs_give_the_same_bits_on_any_number_of_threads():
    tensors = draw(5, 37, 45, 130, 70)
    grad = torch.randn(5, 37, 70)
    threads, found = torch.get_num_threads(), []
    try:
        for count in (1, 2, 3, 3):
            torch.set_num_threads(count)
            context, weights, grads = compiled(*tensors, grad, lengths=torch.tensor([45, 3, 0, 17, 44]))
            found.append((context, weights, *grads))
    finally:
        torch.set_num_threads(threads)
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize("queries", [1, 3])
def test_nothing_that_was_not_written_is_read(poisoned, queries):
    tensors = draw(4, queries, 11, 19, 13)
    lengths, mask = torch.tensor([11, 0, 7, 1]), torch.rand(4, 11) > 0.4
    for tensor in tensors[1:3]:
        tensor[~(mask & (torch.arange(11) < lengths[:, None]))] = torch.nan
    context, weights, grads = compiled(*tensors, torch.randn(4, queries, 13), lengths=lengths, mask=mask)
    exponentials, in_range = raw("cpu").key_exponentials(tensors[1])
    assert in_range.tolist() == [bool((row.abs() <= 40).all()) for row in tensors[1]]
    assert exponentials.isnan().equal(tensors[1].isnan())
    assert all(bool(t.isfinite().all()) for t in (context, weights, *grads))
    assert all(bool((t[1] == 0).all()) for t in (context, weights, *grads[:3]))


@pytest.mark.parametrize("bad", ["query", "keys", "values", "exponentials", "in_range", "v", "lengths", "mask"])
def test_a_raw_operator_refuses_shapes_that_do_not_fit(bad):
    query, keys, values, v = draw(2, 3, 4, 5, 6)
    exponentials, in_range = raw("cpu").key_exponentials(keys)
    arguments = {
        "query": query, "keys": keys, "values": values, "exponentials": exponentials, "in_range": in_range, "v": v,
        "lengths": torch.tensor([4, 2]), "mask": torch.ones(2, 4, dtype=torch.bool),
    }  # fmt: skip
    raw("cpu").attend_forward(*arguments.values(), True)
    arguments[bad] = arguments[bad].repeat_interleave(2, dim=1 if bad == "values" else -1)
    with pytest.raises(RuntimeError, match="must be"):
        raw("cpu").attend_forward(*arguments.values(), True)


def test_expanded_and_strided_tensors_are_as_good_as_dense_ones():
    query, keys, values, v = draw(1, 3, 8, 10, 12)
    strided = query.mT.contiguous().mT, keys.expand(4, 8, 10), values.expand(4, 8, 12), v[:1].expand(10)
    strided = strided[0].expand(4, 3, 10), *strided[1:]
    grad = torch.randn(12).expand(4, 3, 12)
    context, _, found = compiled(*strided, grad)
    dense_context, _, dense = compiled(*(t.contiguous() for t in strided), grad.contiguous())
    assert torch.equal(context, dense_context) and all(torch.equal(a, b) for a, b in zip(found, dense, strict=True))


def run(program):
    return subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=120)


def test_an_error_inside_a_parallel_region_reaches_python():
    done = run("""
        import resource, torch, seq2seq_fast
        torch.set_num_threads(2)
        memory = seq2seq_fast.attention_memory(torch.zeros(2, 2**20, 1), torch.zeros(2, 2**20, 1))
        query, v = torch.zeros(2, 64, 1), torch.zeros(1)
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 2**26, -1))
        try:
            seq2seq_fast.attend(query, memory, v, need_weights=False, backend="cpu")
        except MemoryError as error:
            print("caught", error)
    """)
    assert done.returncode == 0 and "caught std::bad_alloc" in done.stdout, done.stdout + done.stderr


def test_offsets_beyond_two_to_the_31_are_computed_in_64_bits():
    # Memory of this size is only addressed: of its pages a few are touched.
    rows, far = 2, 2**31 + 8
    gates = torch.empty(rows * far, dtype=torch.float16).as_strided((rows, 12), (far, 1))
    gates.copy_(torch.randn(rows, 12))
    hidden = torch.randn(rows, 4, dtype=torch.float16)
    found, _ = raw("cpu").gru_gates_forward(gates, gates, hidden)
    wanted, _ = raw("cpu").gru_gates_forward(gates.clone(), gates.clone(), hidden)
    assert torch.equal(found, wanted)

    source, size = 2**19 + 1, 2**12
    values = torch.empty(2, source, size, dtype=torch.float16)
    values[:, :3] = torch.randn(2, 3, size)
    query, keys, v = torch.randn(2, 1, 1).half(), torch.zeros(2, source, 1).half(), torch.randn(1).half()
    tensors = keys, values, *raw("cpu").key_exponentials(keys)
    lengths = torch.tensor([2, 3])
    context, _, _ = raw("cpu").attend_forward(query, *tensors, v, lengths, None, False)
    assert_near(context[:, 0], torch.stack([values[b, :n].double().mean(0) for b, n in enumerate((2, 3))]), error=1e-5)
