"""What torch.compile and torch.export see of the Triton engine: its kernels, its operators, its schemas.

Tracing asks Triton for the device to compile for: an H100 is named. Compiled graphs run with launches that are noted
and not made, so no GPU is needed and no numbers come out.
"""

import pytest
import torch
from functorch.compile import make_boxed_func
from torch._dynamo.backends.common import aot_autograd
from torch._higher_order_ops.triton_kernel_wrap import triton_kernel_wrapper_functional

import seq2seq_fast
from seq2seq_fast.ops.schemas import SCHEMAS
from tests.support.cases import attention_case, decoder_case, run_decoder
from tests.support.truth import gradients
from tests.triton_kernels.launches import noted


@pytest.fixture(autouse=True)
def fresh_dynamo(serves_cpu_tensors):
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize("name", SCHEMAS)
def test_annotations_of_an_operator_say_what_the_schema_says(name):
    declared = torch._C.parse_schema(name + SCHEMAS[name])
    found = getattr(torch.ops.seq2seq_fast_triton, name).default._schema
    assert [(a.name, str(a.type)) for a in found.arguments] == [(a.name, str(a.type)) for a in declared.arguments]
    assert [str(r.type) for r in found.returns] == [str(r.type) for r in declared.returns]
    assert not found.is_mutable


def compiled_graphs(function, inputs):
    """The graphs of forward and backward that torch.compile makes, with no graph break allowed."""
    graphs = []

    def keep(graph, _):
        graphs.append(graph)
        return make_boxed_func(graph.forward)

    with noted():
        gradients(torch.compile(function, fullgraph=True, backend=aot_autograd(fw_compiler=keep)), inputs)
    return graphs


def test_two_graphs_serve_batches_of_all_sizes_and_lengths():
    """The first batch has one of its own; then torch.compile leaves sizes open, and launch parameters hang on none."""
    graphs = []

    def keep(graph, _):
        graphs.append(graph)
        return make_boxed_func(graph.forward)

    @torch.compile(fullgraph=True, backend=aot_autograd(fw_compiler=keep))
    def function(query, queries, keys, values, v):
        memory = seq2seq_fast.attention_memory(keys, values)
        one = seq2seq_fast.attend(query, memory, v, backend="triton")
        many, _ = seq2seq_fast.attend(queries, memory, v, need_weights=False, backend="triton")
        scores = [seq2seq_fast.additive_score(q, memory, v, backend="triton") for q in (query, queries)]
        return *one, many, *scores

    lengths = [(33, 57), (35, 11), (60, 25), (9, 34), (16, 59), (17, 31), (64, 16), (65, 17), (128, 64), (300, 129)]
    with noted():
        for batch, (source, target) in enumerate(lengths, 4):
            shapes = (batch, 8), (batch, target, 8), (batch, source, 8), (batch, source, 6), (8,)
            gradients(function, [torch.randn(shape, requires_grad=True) for shape in shapes])
    assert len(graphs) == 4, "forward and backward of two"


def kernels_in(graph):
    return sum(node.target is triton_kernel_wrapper_functional for node in graph.graph.nodes)


def operators_in(graph):
    return {str(node.target) for node in graph.graph.nodes if "seq2seq_fast" in str(node.target)}


@pytest.mark.parametrize("queries", [None, 9])
def test_attention_is_visible_as_its_kernels_forward_and_backward(queries):
    case = attention_case(2, queries, 5, 8, 6, lengths=[5, 2])

    def function(query, keys, values, v):
        return seq2seq_fast.additive_attention(query, keys, values, v, lengths=case.lengths, backend="triton")

    forward, backward = compiled_graphs(function, case.differentiable)
    assert kernels_in(forward) >= 2 and kernels_in(backward) >= 2
    assert not operators_in(forward) and not operators_in(backward)


def test_cells_are_visible_as_their_kernels_forward_and_backward():
    def function(x, h, c):
        weights = torch.ones(12, 5), torch.ones(12, 4)
        hidden = seq2seq_fast.gru_cell(x, h, *weights, backend="triton")
        before = seq2seq_fast.gru_cell(x, h, *weights, reset_after=False, backend="triton")
        four = [torch.cat([w, w[:4]]) for w in weights]
        return hidden, before, *seq2seq_fast.lstm_cell(x, (h, c), *four, backend="triton")

    forward, backward = compiled_graphs(function, [torch.randn(3, n, requires_grad=True) for n in (5, 4, 4)])
    assert kernels_in(forward) == 4 and kernels_in(backward) == 4
    assert not operators_in(forward) and not operators_in(backward)


def test_the_decoder_is_one_operator_of_any_length():
    case = decoder_case("gru", 2, 3, 4, lengths=[4, 1])
    tensors = list(case.tensors.values())
    forward, backward = compiled_graphs(lambda *t: run_decoder(list(t), case.options, "triton"), tensors)
    assert any("attention_decoder_forward" in name for name in operators_in(forward))
    assert any("attention_decoder_backward" in name for name in operators_in(backward))


def test_an_exported_program_holds_the_operators():
    class Attention(torch.nn.Module):
        def forward(self, query, keys, values, v):
            return seq2seq_fast.additive_attention(query, keys, values, v, backend="triton")

    inputs = tuple(t.detach() for t in attention_case(2, 3, 5, 8, 6).differentiable)
    program = torch.export.export(Attention(), inputs)
    assert "seq2seq_fast_triton.attend_forward" in str(program.graph)
