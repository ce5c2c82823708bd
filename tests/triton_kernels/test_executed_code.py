"""The PTX that Triton generates for every kernel, executed at the launch parameters that ship, against float64 truth.

Blocks run in a permuted order; NaN lies in memory that was not written. `executed` counts what ran.
"""

from types import SimpleNamespace

import pytest
import torch

import seq2seq_fast
from seq2seq_fast.triton_kernels import launch
from tests.support.cases import attention_case, decoder_case
from tests.support.engines import dtype_name
from tests.support.truth import assert_near, double
from tests.triton_kernels.comparisons import (
    DTYPES,
    assert_attention,
    assert_cell,
    assert_decoder,
    assert_score,
    cancelling_case,
)
from tests.triton_kernels.counting import every_kernel
from tests.triton_kernels.launches import executed

pytestmark = pytest.mark.usefixtures("generated_code_serves_cpu_tensors")
FORMS = [("rnn", True), ("gru", True), ("gru", False), ("lstm", True)]


def ran(done, *names):
    for name in names:
        assert done.reports(name)


def attention_of(queries, dtype, need_weights=True):
    mask = torch.rand(2, 37) > 0.3 if need_weights else None
    case = attention_case(2, queries, 37, 146, 150, dtype=dtype, lengths=[37, 5], mask=mask)
    with executed(order=1) as done:
        assert_attention(case, need_weights)
    return done


@pytest.mark.parametrize("dtype", [torch.float32, *(pytest.param(t, marks=pytest.mark.prove) for t in DTYPES[1:])])
def test_attention_of_one_query(dtype):
    done = attention_of(1, dtype)
    ran(done, "._exponentials_kernel", "._attend_tile_kernel")
    ran(done, "one_query_backward._weights_gradient_kernel", "one_query_backward._score_gradient_kernel")


@pytest.mark.prove
@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("dtype", DTYPES, ids=dtype_name)
def test_attention_of_many_queries(dtype, need_weights):
    done = attention_of(11, dtype, need_weights)
    ran(done, "._score_tiles_kernel", "._softmax_rows_kernel", "._softmax_rows_backward_kernel")
    ran(done, "._unit_gradients_kernel")


@pytest.mark.prove
@pytest.mark.parametrize("dtype", DTYPES, ids=dtype_name)
def test_few_queries_in_several_tiles(dtype):
    done = attention_case(2, 3, 75, 33, 17, dtype=dtype, lengths=[75, 20])
    with executed(order=2) as ran_now:
        assert_attention(done)
    ran(ran_now, "._attend_tile_kernel", "._combine_kernel")


@pytest.mark.prove
@pytest.mark.parametrize("queries", [None, 11])
@pytest.mark.parametrize("scale", [5.0, 60.0])
def test_arguments_beyond_the_exponentials_range(queries, scale):
    with executed(order=3):
        assert_attention(cancelling_case(queries, scale))


@pytest.mark.prove
@pytest.mark.parametrize("dtype", DTYPES, ids=dtype_name)
@pytest.mark.parametrize("queries", [1, 3, 11])
def test_scores_alone(queries, dtype):
    with executed(order=4) as done:
        assert_score(attention_case(2, queries, 37, 35, 1, dtype=dtype))
    ran(done, "._score_tiles_kernel" if queries > launch.FEW_QUERIES else "._score_rows_kernel")


def cell_tensors(gates, dtype, pair=False):
    shapes = [(3, 5), (3, 130), *([(3, 130)] if pair else [])]
    shapes += [(gates * 130, 5), (gates * 130, 130), (gates * 130,), (gates * 130,)]
    return [(torch.randn(shape) * 0.3).to(dtype).requires_grad_() for shape in shapes]


@pytest.mark.parametrize("dtype", [torch.bfloat16, *(pytest.param(t, marks=pytest.mark.prove) for t in DTYPES[:2])])
def test_cells(dtype):
    def gru(reset_after):
        return lambda backend: lambda *t: [seq2seq_fast.gru_cell(*t, reset_after=reset_after, backend=backend)]

    def lstm(backend):
        return lambda x, h, c, *weights: seq2seq_fast.lstm_cell(x, (h, c), *weights, backend=backend)

    with executed(order=5) as done:
        for reset_after in (True, False):
            assert_cell(gru(reset_after), cell_tensors(3, dtype), error=1e-5)
        assert_cell(lstm, cell_tensors(4, dtype, pair=True), error=1e-5)
    ran(done, *(f"gru_cell._{kernel}_kernel" for kernel in ("gates", "reset", "update")))
    ran(done, *(f"gru_cell._{kernel}_backward_kernel" for kernel in ("gates", "reset", "update")))
    ran(done, "lstm_cell._gates_kernel", "lstm_cell._gates_backward_kernel")


@pytest.mark.prove
@pytest.mark.parametrize("projected", [True, False])
@pytest.mark.parametrize(("cell", "reset_after"), FORMS)
def test_decoders(monkeypatch, cell, reset_after, projected):
    monkeypatch.setattr(launch, "project_values", lambda *shape: projected)
    case = decoder_case(
        cell, 3, 2, 75, 3, 70, 6, 8, reset_after=reset_after, state_mask=True, lengths=[75, 0, 20], biases=projected
    )
    with executed(order=6) as done:
        assert_decoder(case)
    parts = ("reset", "update") if cell == "gru" and not reset_after else ("cell",)
    ran(done, *(f"decoder_cells._{part}_kernel" for part in parts))
    ran(done, *(f"decoder_cells_backward._{part}_backward_kernel" for part in parts))


@pytest.mark.prove
@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("dtype", DTYPES[1:], ids=dtype_name)
def test_decoders_of_sixteen_bits(cell, dtype):
    with executed(order=7):
        assert_decoder(decoder_case(cell, 2, 2, 21, 3, 5, 6, 4, dtype=dtype, mask=[[True, False, True] * 7] * 2))


@pytest.mark.prove
def test_gradients_of_keys_that_chunks_of_queries_add_up(monkeypatch):
    monkeypatch.setattr(launch, "MANY_SCORES", 0)
    with executed(order=9) as done:
        assert_attention(attention_case(1, 34, 5, 10, 6, lengths=[4]), need_weights=False)
    assert any(made.arguments.get("ACCUMULATE") for made, _ in done.launches)


@pytest.mark.prove
@pytest.mark.parametrize("projected", [True, False])
@pytest.mark.parametrize("cell", ["gru", "lstm"])
@torch.no_grad()
def test_a_step_of_several_beams(cell, projected):
    case = decoder_case(cell, 2, 1, 75, 3, 7, 6, 8, lengths=[75, 4])

    def step(tensors, backend):
        t = SimpleNamespace(**dict(zip(case.tensors, tensors, strict=True)))
        memory = seq2seq_fast.attention_memory(
            t.keys, t.values, lengths=case.options["lengths"], context_weight=t.weight_ih[:, -8:] if projected else None
        )
        beams = [None if x is None else torch.stack([x, -x, x / 2], 1) for x in (t.inputs[:, 0], t.state, t.cell_state)]
        output = seq2seq_fast.attention_decoder_step(
            beams[0], beams[1] if cell == "gru" else tuple(beams[1:]), memory, t.query_weight, t.v, t.weight_ih,
            t.weight_hh, t.bias_ih, t.bias_hh, query_bias=t.query_bias, cell=cell, backend=backend,
        )  # fmt: skip
        return [*(output.state if cell == "lstm" else [output.state]), output.context, output.weights]

    tensors = list(case.tensors.values())
    with executed(order=8) as done:
        found = step(tensors, "triton")
    for a, b in zip(found, step(double(tensors), "reference"), strict=True):
        assert_near(a, b, error=2e-5, roundings=4)
    ran(done, "._attend_tile_kernel", "._cell_kernel")


def test_no_kernel_is_left_out():
    """Every kernel is named above; each test asserts that those it names ran."""
    cells = {f"gru_cell._{k}{b}_kernel" for k in ("gates", "reset", "update") for b in ("", "_backward")}
    cells |= {"lstm_cell._gates_kernel", "lstm_cell._gates_backward_kernel"}
    decoder = {f"decoder_cells._{k}_kernel" for k in ("cell", "reset", "update")}
    decoder |= {f"decoder_cells_backward._{k}_backward_kernel" for k in ("cell", "reset", "update")}
    attention = {
        "key_exponentials._exponentials_kernel", "one_query._attend_tile_kernel", "combine._combine_kernel",
        "one_query_backward._weights_gradient_kernel", "one_query_backward._score_gradient_kernel",
        "many_queries._score_tiles_kernel", "many_queries._softmax_rows_kernel",
        "many_queries_backward._softmax_rows_backward_kernel", "many_queries_backward._unit_gradients_kernel",
        "additive_score._score_rows_kernel",
    }  # fmt: skip
    assert every_kernel() == cells | decoder | attention
