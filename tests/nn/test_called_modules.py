"""Submodules are called wherever calling them could differ from reading their weights."""

import copy

import pytest
import torch
from hypothesis import given
from torch import nn
from torch.nn.utils import parametrizations, prune
from torch.utils import _pytree as pytree

from seq2seq_fast import use_backend
from seq2seq_fast.nn import GRUCell, Seq2Seq
from seq2seq_fast.nn.cells import RecurrentCell
from seq2seq_fast.nn.encoder import Encoder
from seq2seq_fast.training.loss import vocabulary_loss
from tests.nn.support import batch_of, configs, tiny

LEAVES = (nn.Linear, nn.Embedding, nn.Conv1d, RecurrentCell)
OPTIONS = {
    "gru": {"encoder_layers": 2, "decoder_layers": 2},
    "lstm after": {"cell": "lstm", "attention_position": "after", "attention": "multiplicative"},
    "conditional": {"conditional": True},
    "location": {"attention_history": "location", "layer_norm": True},
    "coverage": {"attention_history": "coverage", "cell": "rnn"},
}
every_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)


class Wrapped(nn.Module):
    """A module that can only be called, and counts."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.calls = inner, 0

    def forward(self, *arguments):
        self.calls += 1
        return self.inner(*arguments)


def replace(model, name, module):
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, module)


def leaves(model):
    return [name for name, module in model.named_modules() if isinstance(module, LEAVES)]


def logits(model, batch):
    """Of whole sequences and of steps, each [B, Ty, V]."""
    source, lengths, target = batch
    whole = model.logits(model(source, lengths, target).readout)
    state, steps = model.start(model.encode(source, lengths), project_values=True), []
    for tokens in target.unbind(1):
        step = model.step(tokens, state)
        state = step.state
        steps.append(step.logits)
    return torch.stack([whole, torch.stack(steps, dim=1)])


def gradients(model, outputs):
    torch.manual_seed(1)
    return torch.autograd.grad((outputs * torch.randn_like(outputs)).sum(), list(model.parameters()))


def close(found, expected):
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


@given(config=configs())
def test_modules_that_can_only_be_called_give_the_same_numbers_and_gradients(config):
    model, batch = Seq2Seq(config), batch_of(config)
    expected = logits(model, batch)
    wrapped = copy.deepcopy(model)
    for name in leaves(model):
        replace(wrapped, name, Wrapped(wrapped.get_submodule(name)))
    found = logits(wrapped, batch)
    torch.testing.assert_close(found, expected)
    close(gradients(wrapped, found), gradients(model, expected))
    uncalled = [name for name in leaves(model) if wrapped.get_submodule(name).calls == 0]
    assert uncalled == []


@every_option
def test_every_module_of_the_model_hears_its_hooks(options):
    model = Seq2Seq(tiny(**options))
    # An EncoderOutput is a dataclass, in which PyTorch looks for no gradients: it warns that hooks there stay silent.
    modules = {name: one for name, one in model.named_modules() if not isinstance(one, nn.ModuleList | Encoder)}
    heard = {kind: set() for kind in ("before", "after", "backward before", "backward after")}
    for name, one in modules.items():
        one.register_forward_pre_hook(lambda *_, name=name: heard["before"].add(name))
        one.register_forward_hook(lambda *_, name=name: heard["after"].add(name))
        one.register_full_backward_pre_hook(lambda *_, name=name: heard["backward before"].add(name))
        one.register_full_backward_hook(lambda *_, name=name: heard["backward after"].add(name))
    batch = batch_of(model.config)
    model.logits(model(*batch).readout).sum().backward()
    for kind, names in heard.items():
        assert set(modules) - names == set(), kind
    assert all(parameter.grad is not None for parameter in model.parameters())


@every_option
def test_what_a_hook_returns_is_what_the_model_computes_with(options):
    model = Seq2Seq(tiny(**options)).eval()
    batch = batch_of(model.config)
    expected = logits(model, batch)
    for name in [*leaves(model), "decoder.attention", "decoder.readout", "decoder.dropout", "encoder"]:
        seen = []

        def double(module, arguments, result, seen=seen):
            seen.append(module)
            return pytree.tree_map(lambda part: 2 * part if part.is_floating_point() else part, result)

        handle = model.get_submodule(name).register_forward_hook(double)
        whole, steps = logits(model, batch)
        torch.testing.assert_close(whole, steps)
        assert seen and not torch.allclose(whole, expected[0]), name
        handle.remove()
        assert torch.equal(logits(model, batch), expected), name


def test_global_hooks_are_heard_by_every_layer():
    model, heard = Seq2Seq(tiny()), set()
    handle = nn.modules.module.register_module_forward_hook(lambda module, *_: heard.add(module))
    try:
        logits(model, batch_of(model.config))
    finally:
        handle.remove()
    assert {model.get_submodule(name) for name in leaves(model)} <= heard


def test_a_forward_set_on_one_module_is_called():
    model = Seq2Seq(tiny())
    query, calls = model.decoder.attention.query_projection, []
    forward = query.forward
    query.forward = lambda input: calls.append(1) or forward(input)
    logits(model, batch_of(model.config))
    assert len(calls) == 8


def test_a_subclass_with_its_own_step_is_called():
    class Frozen(GRUCell):
        def step(self, input, state):
            return state

    encoder = Encoder(3, 4)
    encoder.forward_cells[0] = Frozen(3, 4)
    encoded = encoder(torch.randn(2, 5, 3))
    assert (encoded.outputs[..., :4] == 0).all() and (encoded.outputs[..., 4:] != 0).all()


def test_the_backend_of_the_attention_and_the_cell_is_the_decoders():
    model = Seq2Seq(tiny())
    model.decoder.attention.backend = "reference"
    batch = batch_of(model.config)
    expected = logits(model, batch)
    with use_backend("reference"):
        torch.testing.assert_close(logits(model, batch), expected)
    model.decoder.cells[0].backend = "cuda"
    with pytest.raises(ValueError, match="backend='cuda'"):
        logits(model, batch)


def matrices(model):
    """Every matrix of the model's leaves, as module name and parameter name."""
    for name in leaves(model):
        for parameter, value in model.get_submodule(name).named_parameters(recurse=False):
            if value.dim() >= 2:
                yield name, parameter


def plain_copy(model, batch, changed):
    """A model of the same configuration with the parameters that the changed one computes with."""
    logits(changed, batch)
    copied = copy.deepcopy(model)
    with torch.no_grad():
        for name, parameter in copied.named_parameters():
            module, _, own = name.rpartition(".")
            parameter.copy_(getattr(changed.get_submodule(module), own))
    return copied


CHANGES = {
    "parametrized weight_norm": parametrizations.weight_norm,
    "parametrized spectral_norm": parametrizations.spectral_norm,
    "pruning": lambda module, name: prune.random_unstructured(module, name, 0.5),
    "weight_norm by a hook": torch.nn.utils.weight_norm,
    "spectral_norm by a hook": torch.nn.utils.spectral_norm,
}


@pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated:FutureWarning")
@every_option
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_weights_that_are_computed_anew_at_every_call_are_the_ones_used(change, options):
    model = Seq2Seq(tiny(**options)).double().eval()
    batch = batch_of(model.config)
    changed = copy.deepcopy(model)
    for name, parameter in matrices(model):
        change(changed.get_submodule(name), parameter)
    # What an optimizer changes must reach the next call.
    with torch.no_grad():
        for value in changed.parameters():
            value.mul_(0.9)
    expected = logits(plain_copy(model, batch, changed), batch)
    found = logits(changed, batch)
    torch.testing.assert_close(found, expected)
    found.square().sum().backward()
    missing = [name for name, parameter in changed.named_parameters() if parameter.grad is None]
    assert missing == []


def test_a_parametrized_cell_is_read_once_a_sequence():
    class Counted(nn.Module):
        reads = 0

        def forward(self, weight):
            Counted.reads += 1
            return weight

    encoder = Encoder(3, 4, bidirectional=False)
    nn.utils.parametrize.register_parametrization(encoder.forward_cells[0], "weight_hh", Counted())
    Counted.reads = 0
    encoder(torch.randn(2, 5, 3))
    assert Counted.reads == 1


def test_the_loss_calls_a_projection_that_is_not_plain():
    model, batch = Seq2Seq(tiny()), batch_of(tiny())
    readout, target = model(*batch).readout, torch.randint(1, 11, (3, 4))
    projection = model.decoder.output
    plain = vocabulary_loss(readout, projection, target, pad_id=0)
    torch.testing.assert_close(vocabulary_loss(readout, Wrapped(projection), target, pad_id=0), plain)
    projection.register_forward_hook(lambda module, arguments, result: 3 * result)
    expected = torch.nn.functional.cross_entropy(projection(readout).flatten(0, 1), target.flatten(), ignore_index=0)
    torch.testing.assert_close(vocabulary_loss(readout, projection, target, pad_id=0), expected)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
@every_option
def test_dynamic_quantization_serves_the_whole_model(options):
    torch.backends.quantized.engine = torch.backends.quantized.supported_engines[-1]
    model = Seq2Seq(tiny(**options)).eval()
    batch = batch_of(model.config)
    quantized = torch.ao.quantization.quantize_dynamic(model, {nn.Linear})
    with torch.no_grad():
        found, expected = logits(quantized, batch), logits(model, batch)
    assert not torch.equal(found, expected)
    torch.testing.assert_close(found, expected, atol=0.1, rtol=0.1)


@every_option
def test_torchao_quantizes_the_whole_model(options):
    quantization = pytest.importorskip("torchao.quantization", reason="torchao is not installed")
    model = Seq2Seq(tiny(**options)).eval()
    batch = batch_of(model.config)
    quantized = copy.deepcopy(model)
    wide = lambda module, _: type(module) is nn.Linear and min(module.weight.shape) > 1  # noqa: E731
    quantization.quantize_(quantized, quantization.Int8WeightOnlyConfig(), wide)
    expected = copy.deepcopy(model)
    for name, module in quantized.named_modules():
        if wide(module, name):
            assert type(module.weight) is not nn.Parameter
            expected.get_submodule(name).weight.data = module.weight.dequantize()
    with torch.no_grad():
        torch.testing.assert_close(logits(quantized, batch), logits(expected, batch))


@every_option
def test_adapters_of_peft_change_the_model_learn_and_merge(options):
    peft = pytest.importorskip("peft", reason="peft is not installed")
    model = Seq2Seq(tiny(**options)).eval()
    batch = batch_of(model.config)
    plain = logits(model, batch)
    wanted = [name for name in leaves(model) if not isinstance(model.get_submodule(name), RecurrentCell)]
    adapted = peft.inject_adapter_in_model(
        peft.LoraConfig(r=1, target_modules=wanted, init_lora_weights=False), copy.deepcopy(model)
    )
    found = logits(adapted, batch)
    assert not torch.allclose(found, plain)
    found.square().sum().backward()
    adapters = {name: parameter for name, parameter in adapted.named_parameters() if "lora_" in name}
    assert len(adapters) == 2 * len(wanted)
    assert [name for name, parameter in adapters.items() if parameter.grad is None or not parameter.grad.any()] == []
    for module in adapted.modules():
        if isinstance(module, peft.tuners.lora.LoraLayer):
            module.merge()
    torch.testing.assert_close(logits(adapted, batch), found, atol=1e-5, rtol=1e-4)
