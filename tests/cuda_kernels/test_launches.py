"""Launches as a device gets them: their stream, their extents, and the shared memory that they ask for."""

import functools
import re

import pytest
import torch

import seq2seq_fast
from seq2seq_fast.cuda_kernels import implement
from seq2seq_fast.cuda_kernels.engine import DTYPES, Engine
from seq2seq_fast.cuda_kernels.plan import Device
from seq2seq_fast.ops.backends import BackendStatus, register_backend
from seq2seq_fast.ops.schemas import declare
from tests.emulators.cudafiber.compiler import CSRC
from tests.emulators.cudafiber.launches import recorded
from tests.emulators.cudafiber.module import module, path
from tests.ops.test_additive_attention import attention
from tests.support.cases import attention_case, decoder_case, run_decoder
from tests.support.engines import Engine as Served
from tests.support.truth import assert_near, double, gradients, score_error

STREAM = 0x5EED
LAUNCHERS = re.findall(r"^cudaError_t (\w+)\([^;]*cudaStream_t", (CSRC / "cuda/launchers.h").read_text(), re.MULTILINE)
ROOM = 227 * 1024


class OnAStream(Engine):
    """Launches on a stream of its own, and records the streams that arrive in place of running anything."""

    def __init__(self):
        super().__init__(module())
        self.streams = {}

    def launch(self, name, like, *arguments):
        converted = [a.data_ptr() if torch.is_tensor(a) else 0 if a is None else a for a in arguments]
        with recorded(path()) as launches:
            getattr(self.module, name)(*converted, STREAM)
        assert launches, f"{name} launched nothing"
        self.streams.setdefault(name, set()).update(launch.stream for launch in launches)


def scores(query, keys, values, v):
    memory = seq2seq_fast.attention_memory(keys, values)
    return [seq2seq_fast.additive_score(query, memory, v, backend="cudafiber_streams")]


def test_every_launcher_launches_on_the_stream_that_it_is_given():
    engine = OnAStream()
    implement(declare("cudafiber_streams"), engine, "CPU")
    register_backend("cudafiber_streams", BackendStatus(True, True, ("cpu",), tuple(DTYPES), "streams, for tests"))
    case = attention_case(2, 3, 90, 16, 8)
    for function in (attention(case, "cudafiber_streams", False), scores):
        gradients(function, case.differentiable)
    for cell, reset_after, hidden in (("gru", True, 9), ("gru", False, 16), ("lstm", True, 9), ("lstm", True, 16)):
        decoder = decoder_case(cell, 2, 2, 5, 3, hidden, 8, 4, reset_after=reset_after)
        run = functools.partial(run_decoder, options=decoder.options, backend="cudafiber_streams")
        gradients(lambda *t, run=run: run(list(t)), list(decoder.tensors.values()))
    assert set(engine.streams) == set(LAUNCHERS) and len(LAUNCHERS) == 17
    assert set().union(*engine.streams.values()) == {STREAM}


MANY = 300_000
SOME = 16  # an address: nothing runs, so nothing is read there
# Launcher, what it gets up to its stream, and the blocks that come of it.
LARGE = {
    "queries of attention": (
        "attend_forward", [0, *[SOME] * 6, 0, 0, SOME, 0, SOME, 0, 8, 1, MANY, 9, 8, 8, 16, ROOM], MANY // 4,
    ),
    "elements of keys": ("key_exponentials", [0, SOME, SOME, SOME, 2, 4096 * MANY], 2 * MANY),
    "queries of scores": ("additive_score_forward", [0, *[SOME] * 6, False, 1, MANY, 9, 8, 16, ROOM], MANY // 4),
    "gradients of weights": ("attend_backward_weights", [0, SOME, SOME, 0, SOME, 1, MANY, 9, 8, 16, ROOM], MANY // 4),
    "gradients of values": ("attend_backward_values", [0, SOME, SOME, SOME, 1, 3, MANY, 512], MANY // 4),
    "gradients of queries": (
        "additive_score_backward", [0, *[SOME] * 4, 9 * MANY, 9, 1, SOME, 0, 0, 1, MANY, 9, 512, 1, True], MANY // 4,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LARGE)
def test_sizes_beyond_65535_blocks_are_no_more_than_cuda_allows(name):
    launcher, arguments, blocks = LARGE[name]
    with recorded(path()) as launches:
        getattr(module(), launcher)(*arguments, 0)
    assert [launch.grid for launch in launches] == [(blocks, 1, 1)]


def test_more_blocks_than_any_grid_has_are_an_error():
    with pytest.raises(RuntimeError, match="key_exponentials: invalid configuration argument"):
        module().key_exponentials(0, SOME, SOME, SOME, 2**20, 4096 * 2**12, 0)


def attend(queries, units, most_shared_bytes):
    with recorded(path()) as launches:
        module().attend_forward(
            0, *[SOME] * 6, 0, 0, SOME, 0, SOME, 0, units, 1, queries, 9, units, 8, 16, most_shared_bytes, 0
        )
    (launch,) = launches
    return launch


def test_more_shared_memory_than_every_kernel_gets_is_asked_for():
    assert 48 * 1024 < attend(4, 2600, ROOM).shared < 99 * 1024


def test_where_four_queries_do_not_fit_a_block_takes_one():
    rtx_4090 = 99 * 1024
    assert attend(8, 4700, rtx_4090).grid == (2, 1, 1)
    alone = attend(8, 4900, rtx_4090)
    assert alone.grid == (8, 1, 1) and alone.shared < rtx_4090


class WithoutRoom(Engine):
    """On a device with room for one query a block."""

    def device(self, like):
        return Device(4, 0, False)


@functools.cache
def without_room():
    implement(declare("cudafiber_without_room"), WithoutRoom(module()), "CPU")
    status = BackendStatus(True, True, ("cpu",), tuple(DTYPES), "one query a block, for tests")
    register_backend("cudafiber_without_room", status)
    return Served("cudafiber_without_room", "cpu")


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("units", [16, 13])
def test_one_query_a_block_matches_truth(units, need_weights):
    case = attention_case(2, 5, 21, units, 8, lengths=[21, 4])
    found, found_grads = gradients(attention(case, without_room().backend, need_weights), case.differentiable)
    truth, truth_grads = gradients(attention(case, "reference", need_weights), double(case.differentiable))
    error = 4 * score_error(case.v)
    for name, a, b in zip(("context", "weights"), found, truth, strict=False):
        assert_near(a, b, error=error, roundings=2, name=name)
    for name, a, b in zip(("query", "keys", "values", "v"), found_grads, truth_grads, strict=True):
        assert_near(a, b, error=8 * error, roundings=4, name=f"gradient of {name}")
