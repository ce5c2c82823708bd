"""Small models for the tests of the layers."""

from __future__ import annotations

import torch
from hypothesis import strategies as st

from seq2seq_fast.nn import Seq2SeqConfig
from seq2seq_fast.nn.attention_history import HISTORIES

SIZES = {
    "target_vocabulary_size": 11,
    "source_vocabulary_size": 13,
    "source_size": 3,
    "target_size": 4,
    "encoder_hidden_size": 3,
    "decoder_hidden_size": 6,
}


def tiny(**settings) -> Seq2SeqConfig:
    return Seq2SeqConfig(**{**SIZES, **settings})


@st.composite
def configs(draw, dropout=0.0) -> Seq2SeqConfig:
    """Every combination of options that a configuration allows."""
    attention = draw(st.sampled_from(("additive", "multiplicative", "dot", None)))
    bidirectional = True if attention == "dot" else draw(st.booleans())
    settings = {
        "cell": draw(st.sampled_from(("rnn", "gru", "lstm"))),
        "reset_after": draw(st.booleans()),
        "layer_norm": draw(st.booleans()),
        "encoder_layers": draw(st.integers(1, 2)),
        "decoder_layers": draw(st.integers(1, 3)),
        "bidirectional": bidirectional,
        "attention": attention,
        "attention_history": draw(st.sampled_from((None, *HISTORIES))) if attention == "additive" else None,
        "location_filters": 2,
        "location_width": draw(st.sampled_from((1, 5))),
        "attention_position": "before" if attention is None else draw(st.sampled_from(("before", "after"))),
        "attention_size": draw(st.sampled_from((None, 5))),
        "input_feeding": draw(st.booleans()),
        "readout": draw(st.sampled_from(("maxout", "tanh"))),
        "readout_size": None,
        "residual": draw(st.booleans()),
        "dropout": dropout,
        "embedding_dropout": dropout,
        "recurrent_dropout": dropout,
        "variational": dropout > 0,
    }
    settings["conditional"] = bool(attention) and settings["attention_position"] == "before" and draw(st.booleans())
    kind = draw(st.sampled_from(("tied", "shared", "free", "features")))
    settings["tie_embeddings"] = kind == "tied" or (kind == "shared" and draw(st.booleans()))
    if kind == "shared":
        settings |= {"share_embeddings": True, "source_vocabulary_size": 11, "source_size": 4}
    elif kind == "features":
        settings["source_vocabulary_size"] = None
    elif kind == "free":
        settings["readout_size"] = 5
    return tiny(**settings)


def batch_of(config, lengths=(5, 0, 2), target=4, dtype=torch.float32):
    """source, source_lengths, target_input for a configuration; what lies in padding is what breaks careless code."""
    batch, source_lengths = len(lengths), torch.tensor(lengths)
    longest = max(lengths)
    padding = torch.arange(longest) >= source_lengths[:, None]
    if config.source_vocabulary_size is None:
        source = torch.randn(batch, longest, config.source_size, dtype=dtype)
        source[padding] = torch.nan
    else:
        source = torch.randint(0, config.source_vocabulary_size, (batch, longest))
        source[padding] = -1
    return source, source_lengths, torch.randint(0, config.target_vocabulary_size, (batch, target))
