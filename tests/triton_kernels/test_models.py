"""A model on another device than the CPU trains and decodes there: a device without numbers stands for CUDA.

Every tensor that any call reads or makes lies on that device, and nothing is read on the host or copied from there, so
that a capture would take it whole.
"""

import importlib

import pytest
import torch
from torch.utils._pytree import tree_leaves

import seq2seq_fast
from benchmarks.gpu_report.triton.launches import in_place_of_launches
from seq2seq_fast.nn import Seq2Seq
from seq2seq_fast.ops import register_backend, triton
from seq2seq_fast.triton_kernels.registration import launching
from tests.nn.support import tiny
from tests.support.capture import forbidden
from tests.triton_kernels.launches import Operators

META = torch.device("meta")
FORMS = [
    {}, {"cell": "lstm"}, {"cell": "rnn"}, {"reset_after": False}, {"layer_norm": True}, {"attention": None},
    {"attention": "dot"}, {"attention": "multiplicative"}, {"attention_history": "coverage"},
    {"attention_history": "location"}, {"conditional": True}, {"cell": "lstm", "conditional": True},
    {"attention_position": "after"}, {"input_feeding": True}, {"source_vocabulary_size": None},
    {"encoder_layers": 2, "decoder_layers": 2, "residual": True},
    {"dropout": 0.2, "embedding_dropout": 0.2, "recurrent_dropout": 0.2, "variational": True},
]  # fmt: skip


class OnTheDevice(Operators):
    """Also runs the engine's operators, as they run on tensors with numbers."""

    def __init__(self):
        super().__init__(lambda name, function, args: launching(function)(*args))

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        assert not forbidden(function, args), f"{function} brings numbers to the host, or from there"
        outputs = super().__torch_dispatch__(function, types, args, kwargs)
        assert_there(args, kwargs, outputs, told=function)
        return outputs


def assert_there(*values, told):
    places = {leaf.device for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor)}
    assert places <= {META}, f"{told}: {places}"


@pytest.fixture
def serves_meta_tensors(serves_cpu_tensors, monkeypatch):
    register_backend("triton", seq2seq_fast.BackendStatus(True, True, ("meta",), triton.DTYPES))
    monkeypatch.setattr(importlib.import_module("seq2seq_fast.ops.backends"), "_DEFAULTS", {"meta": ("triton",)})


@pytest.mark.usefixtures("serves_meta_tensors")
@pytest.mark.parametrize("form", FORMS, ids=lambda form: "-".join(map(str, form)) or "plain")
def test_a_training_step_and_a_decoded_position_stay_on_the_device(form):
    config = tiny(**form)
    model = Seq2Seq(config).to(META)
    tokens = torch.zeros(3, 5, dtype=torch.int64, device=META)
    source = tokens if config.source_vocabulary_size else torch.zeros(3, 5, 3, device=META)
    lengths = tokens[:, 0]
    launched = []

    def launch(made):
        launched.append(made.name)
        assert_there(made.arguments, told=made.name)

    with in_place_of_launches(launch, traceable=True), OnTheDevice() as operators:
        model.logits(model(source, lengths, tokens).readout).sum().backward()
        with torch.no_grad():
            model.eval().step(tokens[:, 0], model.start(model.encode(source, lengths)))
    assert_there(*model.state_dict().values(), *(p.grad for p in model.parameters()), told=model)
    if config.attention == "additive":
        assert launched and operators.seen
