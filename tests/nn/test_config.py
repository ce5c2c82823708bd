import json
from dataclasses import asdict

import pytest
from hypothesis import given

from seq2seq_fast.nn import Seq2SeqConfig
from tests.nn.support import configs, tiny


@given(config=configs())
def test_survives_json(config):
    assert Seq2SeqConfig.from_dict(json.loads(json.dumps(asdict(config)))) == config


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"source_size": 0}, ValueError, "source_size must be at least 1; got 0"),
        ({"source_size": 2.5}, TypeError, "source_size must be an integer; got 2.5"),
        ({"decoder_layers": True}, TypeError, "decoder_layers must be an integer; got True"),
        ({"attention_size": "8"}, TypeError, "attention_size must be an integer or None; got '8'"),
        ({"dropout": 1}, ValueError, "dropout must be at least 0 and less than 1; got 1"),
        ({"dropout": "much"}, TypeError, "dropout must be a number; got 'much'"),
        ({"residual": 1}, TypeError, "residual must be True or False; got 1"),
        ({"cell": "sru"}, ValueError, "cell must be one of 'rnn', 'gru', 'lstm'; got 'sru'"),
        ({"attention": "self"}, ValueError, "'multiplicative', 'dot', None; got 'self'"),
        ({"attention": None, "attention_position": "after"}, ValueError, "needs an attention; got attention=None"),
        ({"attention": "dot", "decoder_hidden_size": 5}, ValueError, "decoder_hidden_size to be .* 6; got 5"),
        ({"attention_history": "all"}, ValueError, "'location', 'cumulative', 'coverage', None; got 'all'"),
        ({"attention": "dot", "attention_history": "location"}, ValueError, 'attention_history needs attention=.addit'),
        ({"conditional": True, "attention_position": "after"}, ValueError, "conditional needs an attention with"),
        ({"location_width": 4}, ValueError, "location_width must be odd, so that a filter has a centre; got 4"),
        ({"tie_embeddings": True, "readout_size": 5}, ValueError, "readout_size to be target_size, 4; got 5"),
        ({"share_embeddings": True}, ValueError, r"to agree in .*; got \(13, 3\) and \(11, 4\)"),
    ],
    ids=lambda case: next(iter(case)) if isinstance(case, dict) else "",
)  # fmt: skip
def test_errors_name_the_setting_what_was_given_and_what_is_wanted(settings, error, message):
    with pytest.raises(error, match=message):
        tiny(**settings)


def test_an_unknown_setting_is_named():
    with pytest.raises(ValueError, match=r"knows no hiden_size; it knows .*decoder_hidden_size"):
        Seq2SeqConfig.from_dict({"target_vocabulary_size": 5, "hiden_size": 3})
