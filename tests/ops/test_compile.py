"""torch.compile sees the operators whole, with no graph break, and torch.export keeps them."""

import pytest
import torch

import seq2seq_fast
from seq2seq_fast.ops.recurrent_sequence import BACKENDS, recurrent_sequence
from tests.support.cases import attention_case, decoder_case, run_decoder, sequence_tensors
from tests.support.engines import ENGINES, FUSED
from tests.support.truth import gradients


@pytest.fixture(autouse=True)
def fresh_dynamo():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def same(function, inputs):
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    wanted, wanted_grads = gradients(function, inputs)
    found, found_grads = gradients(compiled, inputs)
    for a, b in zip((*found, *found_grads), (*wanted, *wanted_grads), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("engine", ENGINES, ids=str)
@pytest.mark.parametrize("queries", [None, 3])
def test_additive_attention_compiles_without_a_graph_break(engine, queries):
    case = attention_case(2, queries, 5, 8, 6, device=engine.device, lengths=[5, 2])

    def function(query, keys, values, v):
        scores = seq2seq_fast.additive_score(
            query, seq2seq_fast.attention_memory(keys, values), v, backend=engine.backend
        )
        return *seq2seq_fast.additive_attention(
            query, keys, values, v, lengths=case.lengths, backend=engine.backend
        ), scores  # fmt: skip

    same(function, case.differentiable)


@pytest.mark.parametrize("engine", ENGINES, ids=str)
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_attention_decoder_compiles_without_a_graph_break(engine, cell):
    case = decoder_case(cell, 2, 3, 4, device=engine.device, lengths=[4, 1])
    same(lambda *t: run_decoder(list(t), case.options, engine.backend), list(case.tensors.values()))


@pytest.mark.parametrize("engine", ENGINES, ids=str)
@pytest.mark.parametrize("reset_after", [True, False])
def test_cells_compile_without_a_graph_break(engine, reset_after):
    def function(x, h, c):
        weights = torch.ones(12, 5, device=engine.device), torch.ones(12, 4, device=engine.device)
        hidden = seq2seq_fast.gru_cell(x, h, *weights, reset_after=reset_after, backend=engine.backend)
        four = [torch.cat([w, w[:4]]) for w in weights]
        return hidden, *seq2seq_fast.lstm_cell(x, (h, c), *four, backend=engine.backend)

    same(function, [torch.randn(3, n, device=engine.device, requires_grad=True) for n in (5, 4, 4)])


@pytest.mark.parametrize("engine", FUSED, ids=str)
def test_an_exported_program_holds_the_fused_operators_and_gives_their_numbers(engine):
    class Attention(torch.nn.Module):
        def forward(self, query, keys, values, v):
            return seq2seq_fast.additive_attention(query, keys, values, v, backend=engine.backend)

    inputs = tuple(t.detach() for t in attention_case(2, 3, 5, 8, 6, device=engine.device).differentiable)
    program = torch.export.export(Attention(), inputs)
    assert f"seq2seq_fast_{engine.backend}.attend_forward" in str(program.graph)
    for a, b in zip(program.module()(*inputs), Attention()(*inputs), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("engine", [engine for engine in ENGINES if engine.backend in BACKENDS], ids=str)
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_recurrent_sequence_compiles_without_a_graph_break(engine, cell):
    tensors = [t for t in sequence_tensors(cell, 2, 3, 4, 5) if t is not None]
    tensors = [t.detach().to(engine.device).requires_grad_() for t in tensors]
    lengths = torch.tensor([3, 1], device=engine.device)

    def function(inputs, *rest):
        state, parameters = (rest[0], rest[1:]) if cell == "gru" else (rest[:2], rest[2:])
        options = {"cell": cell, "lengths": lengths, "backend": engine.backend}
        outputs, final = recurrent_sequence(inputs, state, *parameters, **options)
        return outputs, *(final if cell == "lstm" else (final,))

    same(function, tensors)
