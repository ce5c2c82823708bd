"""Configurations that do not fit the weights they came with."""

import json
import resource

import pytest
import torch

from seq2seq_fast.data import InputError, build_vocabulary
from seq2seq_fast.decoding import Translator, load_model_folder, save_model_folder
from seq2seq_fast.nn import Seq2Seq, Seq2SeqConfig

SIZES = {"source_size": 8, "target_size": 8, "encoder_hidden_size": 8, "decoder_hidden_size": 8}
KINDS = [
    {}, {"tie_embeddings": True, "share_embeddings": True}, {"attention": None}, {"cell": "lstm", "decoder_layers": 2},
    {"layer_norm": True}, {"attention_history": "location"}, {"conditional": True}, {"bidirectional": False},
]  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    vocabulary = build_vocabulary(["ein kleiner Hund"], "words", 40)
    model = Seq2Seq(Seq2SeqConfig(len(vocabulary), len(vocabulary), **SIZES))
    return save_model_folder(tmp_path / "model", model, vocabulary, vocabulary)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: " ".join(kind) or "plain")
def test_what_was_saved_fits(tmp_path, kind):
    model = Seq2Seq(Seq2SeqConfig(20, 20, **SIZES | kind))
    model.save_pretrained(tmp_path)
    loaded = Seq2Seq.from_pretrained(tmp_path).state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in model.state_dict().items())


BAD = [
    {"encoder_layers": 100_000},
    {"decoder_layers": 100_000},
    {"encoder_layers": 2**31 - 1},
    {"decoder_hidden_size": 2**31 - 1},
    {"target_vocabulary_size": 2**31 - 1},
    {"source_size": 10**12},
    {"readout_size": 10**9},
    {"attention_size": 10**9},
    {"location_filters": 10**9, "location_width": 10**9 + 1, "attention_history": "location"},
    {"dropout": float("nan")},
    {"dropout": float("inf")},
    {"source_size": -8},
    {"source_size": [8]},
    {"cell": ["gru"]},
    {"cell": {"a": []}},
    {"attention": "none"},
    {"encoder_layers": True},
    {"encoder_layers": 1e9},
    {"readout": None},
    {"no": 1},
    {"decoder_layers": 2},
    {"tie_embeddings": True},
    {"bidirectional": False},
    {"cell": "lstm"},
    {"conditional": True},
]


@pytest.mark.parametrize("wrong", BAD, ids=str)
def test_a_configuration_decides_nothing_before_the_weights_are_seen(folder, wrong):
    settings = json.loads((folder / "config.json").read_text()) | wrong
    (folder / "config.json").write_text(json.dumps(settings))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for load in (load_model_folder, Translator.load, lambda path: Translator.load_ensemble([path, path])):
        with pytest.raises(InputError, match="the model cannot be loaded"):
            load(folder)
    with pytest.raises((TypeError, ValueError, RuntimeError)):
        Seq2Seq.from_pretrained(folder)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kilobytes


@pytest.mark.parametrize(
    "text", ["[]", "3", "null", '"a"', "[" * 100_000, "9" * 5000, "{", "", '{"a": ' * 1000, " " * 2**21]
)
def test_what_is_no_configuration_is_one_line(folder, text):
    (folder / "config.json").write_text(text)
    with pytest.raises(InputError, match="the model cannot be loaded") as caught:
        load_model_folder(folder)
    assert len(str(caught.value).splitlines()) == 1
