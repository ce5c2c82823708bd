"""What PyTorch's users expect of every layer: where and in what it is made, drawn anew, and printed."""

import copy

import pytest
import torch
from hypothesis import given

from seq2seq_fast.nn import (
    AdditiveAttention,
    Attention2d,
    AttentionDecoder,
    DotProductAttention,
    Encoder,
    GatedAttentionPooling,
    GRUCell,
    HistoryAttention,
    LayerNormGRUCell,
    LayerNormLSTMCell,
    LayerNormRNNCell,
    LocationAttention,
    LSTMCell,
    MultiplicativeAttention,
    PointerAttention,
    RNNCell,
    Seq2Seq,
)
from seq2seq_fast.nn.readout import Readout
from seq2seq_fast.nn.recurrence import run_recurrence
from tests.nn.support import batch_of, configs, tiny

LAYERS = {
    "additive": lambda **like: AdditiveAttention(3, 4, 5, query_bias=True, score_bias=True, **like),
    "multiplicative": lambda **like: MultiplicativeAttention(3, 4, **like),
    "dot": lambda **like: DotProductAttention(**like),
    **{
        kind: lambda kind=kind, **like: HistoryAttention(3, 4, 5, kind, filters=2, **like)
        for kind in ("location", "cumulative", "coverage")
    },
    "pointer": lambda **like: PointerAttention(3, 4, 5, clip=10.0, query_bias=True, **like),
    "attention2d": lambda **like: Attention2d(3, 4, 5, **like),
    "pooling": lambda **like: GatedAttentionPooling(3, 4, 2, **like),
    "location attention": lambda **like: LocationAttention(3, 4, 5, feature_bias=True, output_size=6, width=3, **like),
    **{
        cell.__name__: lambda cell=cell, **like: cell(3, 4, **like)
        for cell in (RNNCell, GRUCell, LSTMCell, LayerNormRNNCell, LayerNormGRUCell, LayerNormLSTMCell)
    },
    "readout": lambda **like: Readout("maxout", 3, 4, **like),
    "encoder": lambda **like: Encoder(3, 4, vocabulary_size=7, layers=2, **like),
    "decoder": lambda **like: AttentionDecoder(7, 4, 4, 4, 4, layers=2, tie_embeddings=True, **like),
    "model": lambda **like: Seq2Seq(tiny(tie_embeddings=True, layer_norm=True, cell="lstm"), **like),
}
every_layer = pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)


def poison(module):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(torch.nan)


def same_kind(found, expected):
    """Constants are the same, what is drawn is finite and of the same size."""
    for (name, one), other in zip(found.named_parameters(), expected.parameters(), strict=True):
        assert one.isfinite().all(), name
        if other.numel() > 1 and other.unique().numel() == 1:
            assert torch.equal(one, other), name
        else:
            sizes = one.abs().max(), other.abs().max()
            assert other.numel() < 12 or max(sizes) < 3 * min(sizes), name


@every_layer
def test_layers_are_made_in_a_dtype_and_on_a_device(make):
    for like in ({"dtype": torch.float64}, {"device": "meta"}, {"device": "meta", "dtype": torch.bfloat16}):
        for parameter in make(**like).parameters():
            assert parameter.dtype == like.get("dtype", torch.float32)
            assert parameter.device.type == like.get("device", "cpu")


@every_layer
def test_layers_made_without_memory_are_drawn_where_they_get_some(make):
    layer, expected = make(device="meta").to_empty(device="cpu"), make()
    poison(layer)
    getattr(layer, "reset_parameters", lambda: None)()
    same_kind(layer, expected)


@given(config=configs())
def test_drawing_a_model_anew_covers_every_parameter_and_keeps_shared_matrices_shared(config):
    model = Seq2Seq(config)
    fresh = copy.deepcopy(model)
    poison(fresh)
    fresh.reset_parameters()
    same_kind(fresh, model)
    moved = Seq2Seq(config, device="meta").to_empty(device="cpu")
    moved.reset_parameters()
    assert [name for name, _ in moved.named_parameters()] == [name for name, _ in model.named_parameters()]
    moved.load_state_dict(model.state_dict())
    batch = batch_of(config)
    assert torch.equal(moved(*batch).readout, model(*batch).readout)


def test_a_model_made_in_float64_is_the_one_saved_as_such(tmp_path):
    model = Seq2Seq(tiny(), dtype=torch.float64)
    assert model(*batch_of(model.config)).readout.dtype == torch.float64
    model.save_pretrained(tmp_path)
    loaded = Seq2Seq.from_pretrained(tmp_path)
    assert loaded.config == model.config
    loaded.save_pretrained(tmp_path / "again")
    assert (tmp_path / "again" / "config.json").read_text() == (tmp_path / "config.json").read_text()


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors is in prototype stage")
@pytest.mark.parametrize("layout", [torch.strided, torch.jagged])
def test_nested_and_sparse_tensors_are_refused_in_one_line(layout):
    nested = torch.nested.nested_tensor([torch.randn(3, 5), torch.randn(2, 5)], layout=layout)
    calls = {
        "values": lambda values: AdditiveAttention(4, 5, 6)(torch.randn(2, 4), values),
        "source": lambda source: Encoder(5, 4)(source),
        "inputs": lambda inputs: run_recurrence(GRUCell(5, 4), inputs, torch.zeros(2, 4)),
    }
    for name, call in calls.items():
        with pytest.raises(
            TypeError, match=rf"{name} must be a dense tensor \[B, .*; got a nested tensor: pad it and give"
        ):
            call(nested)
        with pytest.raises(TypeError, match=rf"{name} must be a dense tensor \[B, .*; got layout torch\.sparse_coo"):
            call(torch.randn(2, 3, 5).to_sparse())


def test_subclasses_of_tensors_pass_through():
    class Named(torch.Tensor):
        pass

    layer, query, values = AdditiveAttention(4, 5, 6), torch.randn(2, 4), torch.randn(2, 3, 5)
    context, _ = layer(query.as_subclass(Named), values.as_subclass(Named))
    assert type(context) is Named
    assert torch.equal(context.as_subclass(torch.Tensor), layer(query, values)[0])


@every_layer
def test_layers_say_their_sizes(make):
    layer = make()
    assert layer.extra_repr() or isinstance(layer, Seq2Seq)


def test_layers_say_backend_and_options():
    assert "AdditiveAttention(\n  3, 4, 5, backend='reference'" in repr(AdditiveAttention(3, 4, 5, backend="reference"))
    assert repr(GRUCell(3, 4, bias=False, reset_after=False, backend="reference")) == (
        "GRUCell(3, 4, bias=False, backend='reference', reset_after=False)"
    )
    assert repr(MultiplicativeAttention(3, 4, scale=0.5)) == "MultiplicativeAttention(3, 4, scale=0.5)"
    assert "kind='coverage'" in repr(HistoryAttention(3, 4, 5, "coverage"))
    encoder = Encoder(3, 4, cell="lstm", layers=2, recurrent_dropout=0.1)
    assert "3, 4, cell='lstm', layers=2, bidirectional=True, recurrent_dropout=0.1" in repr(encoder)
    decoder = AttentionDecoder(7, 4, 5, 6, 4, attention_position="after", residual=True, dropout=0.1)
    assert "4, 5, cell='gru', layers=1, position='after', input_feeding=True, residual=True" in repr(decoder)
    assert "DecoderDropout(readout=0.1)" in repr(decoder)
