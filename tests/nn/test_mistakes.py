"""Calls that are easily written by mistake: each is answered with what to write instead."""

import copy
import gc
import warnings

import pytest
import torch

from seq2seq_fast.nn import AdditiveAttention, DotProductAttention, MultiplicativeAttention, Seq2Seq
from seq2seq_fast.nn.origin import _origins
from tests.nn.support import batch_of, tiny

LAYERS = {
    "additive": lambda: AdditiveAttention(6, 6, 4),
    "multiplicative": lambda: MultiplicativeAttention(6, 6),
    "dot": DotProductAttention,
}
every_layer = pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)


@every_layer
def test_calls_that_cannot_be_meant_say_what_to_write(make):
    layer, query, values = make(), torch.randn(2, 6), torch.randn(2, 4, 6)
    memory, padding = layer.memory(values), torch.zeros(2, 4, dtype=torch.bool)
    with pytest.raises(TypeError, match="write mask=~key_padding_mask: here True attends"):
        layer(query, values, key_padding_mask=padding)
    with pytest.raises(TypeError, match="write mask=~key_padding_mask: here True attends"):
        layer.memory(values, key_padding_mask=padding)
    with pytest.raises(TypeError, match="masks= is no argument of an attention layer; write one of values, keys"):
        layer(query, values, masks=padding)
    with pytest.raises(TypeError, match="got an AttentionMemory: write memory=memory"):
        layer(query, memory)
    with pytest.raises(TypeError, match=r"query must be a tensor .* got tuple: of an LSTM's state .* write query\[0\]"):
        layer((query, query), values)
    for array in (query.numpy(), query.tolist()):
        with pytest.raises(TypeError, match=r"got (ndarray|list): write torch\.as_tensor\(query\)"):
            layer(array, values)
    with pytest.raises(TypeError, match=r"got ndarray: write torch\.as_tensor\(values\)"):
        layer(query, values.numpy())
    with pytest.raises(TypeError, match=r"memory must be an AttentionMemory, made by layer\.memory.*got Tensor"):
        layer(query, memory=values)
    with pytest.raises(TypeError, match=r"got torch\.float32: of one that is added to scores write mask == 0"):
        layer(query, values, mask=torch.zeros(2, 4))
    for call in (lambda mask: layer(query, values, mask=mask), lambda mask: layer(query, memory=memory, mask=mask)):
        with pytest.raises(TypeError, match=r"got torch\.int64: write mask\.bool\(\)"):
            call(torch.ones(2, 4, dtype=torch.int64))
    with pytest.raises(TypeError, match=r"lengths \* 4\)\.round\(\)\.long\(\)"):
        layer(query, values, lengths=torch.tensor([0.5, 1.0]))


@every_layer
def test_a_mask_that_attends_to_nothing_is_warned_about(make):
    layer, query, values = make(), torch.randn(2, 6), torch.randn(2, 4, 6)
    nothing = torch.zeros(2, 4, dtype=torch.bool)
    for call in (
        lambda mask: layer(query, values, mask=mask),
        lambda mask: layer.memory(values, mask=mask),
        lambda mask: layer(query, memory=layer.memory(values), mask=mask),
        lambda mask: layer(query.unsqueeze(1).expand(2, 3, 6), values, mask=mask.unsqueeze(1).expand(2, 3, 4)),
    ):
        with pytest.warns(UserWarning, match="mask attends to nothing in the whole batch.*write mask=~mask"):
            call(nothing)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            call(nothing | torch.tensor([[True], [False]]))


@pytest.mark.parametrize("kind", ["additive", "multiplicative"])
def test_a_memory_of_other_weights_is_refused(kind):
    layer, other, query, values = LAYERS[kind](), LAYERS[kind](), torch.randn(2, 6), torch.randn(2, 4, 6)
    memory = layer.memory(values)
    layer(query, memory=memory)
    with pytest.raises(ValueError, match=r"memory was made by another layer .* write memory = layer\.memory"):
        other(query, memory=memory)
    with pytest.raises(ValueError, match="memory was made by another layer"):
        AdditiveAttention(6, 6, 6, project=False)(query, memory=memory)
    copy.deepcopy(layer)(query, memory=memory)
    layer.load_state_dict(other.state_dict())
    with pytest.raises(ValueError, match=r"memory was made before this layer's weights changed: .* again after"):
        layer(query, memory=memory)
    layer(query, memory=layer.memory(values))


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW])
def test_a_memory_of_before_the_optimizers_step_is_refused(optimizer):
    layer, query, values = AdditiveAttention(6, 6, 4), torch.randn(2, 6), torch.randn(2, 4, 6)
    memory = layer.memory(values)
    layer(query, memory=memory)[0].sum().backward()
    layer(query, memory=memory)
    optimizer(layer.parameters(), lr=0.1).step()
    with pytest.raises(ValueError, match="again after every step of the optimizer"):
        layer(query, memory=memory)


@pytest.mark.parametrize("attention", ["additive", "multiplicative"])
def test_a_decoders_state_of_before_the_optimizers_step_is_refused(attention):
    model = Seq2Seq(tiny(attention=attention))
    source, lengths, target = batch_of(model.config)
    state = model.start(model.encode(source, lengths))
    model.step(target[:, 0], state).logits.sum().backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    for call in (lambda: model.step(target[:, 0], state), lambda: model.decoder(target, state)):
        with pytest.raises(ValueError, match="memory was made before this layer's weights changed"):
            call()
    model.step(target[:, 0], model.start(model.encode(source, lengths)))


def test_parametrized_inference_and_moved_memories_are_served():
    layer, query, values = MultiplicativeAttention(6, 6), torch.randn(2, 6), torch.randn(2, 4, 6)
    torch.nn.utils.parametrizations.spectral_norm(layer)
    layer.eval()(query, memory=layer.memory(values))
    layer(query[:1], memory=layer.memory(values)[:1])
    with torch.inference_mode():
        plain = AdditiveAttention(6, 6, 4)
        plain(query, memory=plain.memory(values))


def test_nothing_is_kept_of_a_memory_that_is_gone():
    layer = AdditiveAttention(6, 6, 4)
    memory = layer.memory(torch.randn(2, 4, 6))
    before = len(_origins)
    del memory
    gc.collect()
    assert len(_origins) < before
