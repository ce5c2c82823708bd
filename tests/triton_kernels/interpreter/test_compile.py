"""torch.compile and torch.export take the interpreted operators whole; opcheck finds them true to schemas and fakes."""

import pytest
import torch

import seq2seq_fast
from tests.ops import test_compile, test_schemas
from tests.support.cases import attention_case, decoder_case, run_decoder
from tests.support.engines import Engine

ENGINE = Engine("triton", "cpu")


@pytest.fixture(autouse=True)
def fresh_dynamo():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize("queries", [None, 9])
def test_attention_compiles_without_a_graph_break(queries):
    case = attention_case(1, queries, 3, 4, 3, lengths=[2])

    def function(query, keys, values, v):
        return seq2seq_fast.additive_attention(query, keys, values, v, lengths=case.lengths, backend="triton")

    test_compile.same(function, case.differentiable)


@pytest.mark.prove
@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn"])
def test_attention_decoder_compiles_without_a_graph_break(cell):
    case = decoder_case(cell, 1, 2, 3, 2, 3, 4, 2)
    test_compile.same(lambda *t: run_decoder(list(t), case.options, "triton"), list(case.tensors.values()))


@pytest.mark.parametrize("reset_after", [True, False])
def test_cells_compile_without_a_graph_break(reset_after):
    test_compile.test_cells_compile_without_a_graph_break(ENGINE, reset_after)


def test_an_exported_program_holds_the_operators_and_gives_their_numbers():
    test_compile.test_an_exported_program_holds_the_fused_operators_and_gives_their_numbers(ENGINE)


@pytest.mark.prove
def test_opcheck_finds_every_raw_operator_true_to_its_schema_and_fake():
    test_schemas.test_opcheck_finds_every_raw_operator_true_to_its_schema_and_fake(ENGINE)
