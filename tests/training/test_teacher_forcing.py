"""Scheduled sampling."""

import math

import hypothesis
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seq2seq_fast.data import InputError
from seq2seq_fast.decoding import greedy_search
from seq2seq_fast.training import TeacherForcingConfig
from seq2seq_fast.training.run import train
from seq2seq_fast.training.teacher_forcing import _choose, draw, parallel_mixture, sequential_mixture
from tests.decoding.models import BOS, EOS, small_model, sources
from tests.training.corpora import settings, write_corpus

MODELS = [
    {}, {"attention": None, "cell": "lstm"}, {"cell": "lstm", "attention_position": "after", "decoder_layers": 2},
    {"attention": "dot", "decoder_hidden_size": 16}, {"attention_history": "location"},
    {"attention_history": "coverage", "layer_norm": True}, {"conditional": True},
    {"conditional": True, "attention_history": "cumulative", "cell": "lstm", "decoder_layers": 2},
]  # fmt: skip


def prepared(settings, seed, rows=4, positions=6):
    model = small_model(seed=seed, sharpness=3.0, **settings)
    source, lengths = sources(rows, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randint(4, 13, (rows, positions), generator=generator)
    inputs[:, 0] = BOS
    return model, model.start(model.encode(source, lengths)), inputs


@pytest.mark.parametrize("settings", MODELS, ids=str)
@given(
    seed=st.integers(0, 9), ratio=st.sampled_from([0.0, 0.3, 0.7, 1.0]), prediction=st.sampled_from(["best", "sample"])
)
@hypothesis.settings(max_examples=5)
def test_as_many_passes_as_positions_give_what_the_sequential_form_gives(settings, seed, ratio, prediction):
    model, state, inputs = prepared(settings, seed)
    draws = draw(inputs, ratio, prediction)
    sequential = sequential_mixture(model, state, inputs, draws)
    assert torch.equal(parallel_mixture(model, state, inputs, draws, inputs.shape[1]), sequential)
    # Each pass is right one position further.
    for passes in (2, 3, 4):
        assert torch.equal(parallel_mixture(model, state, inputs, draws, passes)[:, :passes], sequential[:, :passes])
    assert torch.equal(sequential[draws.gold], inputs[draws.gold])
    if ratio == 1.0:
        assert torch.equal(sequential, inputs)


def test_two_passes_are_not_yet_the_sequential_form():
    model, state, inputs = prepared({}, 1)
    draws = draw(inputs, 0.0, "best")
    first, second = (parallel_mixture(model, state, inputs, draws, passes) for passes in (2, 3))
    assert not torch.equal(first, second)


def test_without_gold_pieces_the_sequential_form_reads_what_greedy_search_finds():
    model = small_model(seed=3)
    source, lengths = sources(6)
    inputs = torch.full((6, 12), BOS)
    state = model.start(model.encode(source, lengths))
    mixture = sequential_mixture(model, state, inputs, draw(inputs, 0.0, "best"))
    for row, found in zip(mixture.tolist(), greedy_search(model, source, lengths, bos_id=BOS, eos_id=EOS), strict=True):
        known = min(len(found.tokens), 11)
        assert row[: known + 1] == [BOS, *found.tokens[:known]]


def test_draws_have_their_share_and_leave_the_first_input_and_padding():
    inputs = torch.zeros(400, 50, dtype=torch.int64)
    lengths = torch.tensor([20, 50]).repeat(200)
    gold = draw(inputs, 0.3, "best", lengths).gold
    assert gold[:, 0].all() and gold[::2, 20:].all()
    assert gold[1::2, 1:].float().mean().item() == pytest.approx(0.3, abs=0.02)
    assert draw(inputs, 0.3, "sample").uniform.shape == inputs.shape


def test_sampled_pieces_follow_the_predicted_distribution():
    logits = torch.tensor([0.0, -1.0, 1.0, -50.0, 0.5])
    uniform = (torch.arange(20_000) + 0.5) / 20_000
    counts = torch.bincount(_choose(logits.expand(20_000, 5), uniform), minlength=5) / 20_000
    torch.testing.assert_close(counts, logits.softmax(0), atol=1e-3, rtol=0)
    assert _choose(logits, torch.tensor(0.0)) == 0 and _choose(logits, torch.tensor(1.0)) < 5


def test_the_decoder_learns_also_under_autocast():
    model, _, inputs = prepared({}, 0)
    model.train()
    with torch.autocast("cpu", torch.bfloat16):
        state = model.start(model.encode(*sources(4, seed=0)))
        mixture = parallel_mixture(model, state, inputs, draw(inputs, 0.2, "best"), 3)
        loss = model.logits(model.decoder(mixture, state).readout).float().square().mean()
    loss.backward()
    assert all(value.grad is not None and value.grad.abs().sum() > 0 for value in model.decoder.parameters())


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (TeacherForcingConfig(ratio=0.6), [0.6, 0.6, 0.6]),
        (TeacherForcingConfig(decay="linear", decay_rate=0.005, least=0.2), [1.0, 0.5, 0.2]),
        (
            TeacherForcingConfig(ratio=0.9, decay="exponential", decay_rate=0.99),
            [0.9, 0.9 * 0.99**100, 0.9 * 0.99**900],
        ),
        (TeacherForcingConfig(decay="inverse_sigmoid", decay_rate=50), [50 / (50 + math.exp(x)) for x in (0, 2, 18)]),
    ],
)
def test_the_share_falls_as_published(config, expected):
    assert [config.share(step) for step in (0, 100, 900)] == pytest.approx(expected)
    assert config.share(10**9) >= config.least


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"ratio": 1.2}, "ratio must lie between 0 and 1; got 1.2"),
        ({"least": -1}, "least must lie between 0 and 1; got -1"),
        ({"ratio": 0.2, "least": 0.9}, "least must be at most teacher_forcing.ratio 0.2; got 0.9"),
        ({"passes": 1}, "passes must be at least 2; got 1"),
        ({"decay_rate": 0.5}, "decay_rate 0.5 needs a decay; the decay is constant"),
        ({"decay": "linear"}, "decay_rate must be larger than 0 and finite for linear decay; got nothing"),
        ({"decay": "exponential", "decay_rate": 1.5}, "larger than 0 and at most 1 for exponential decay; got 1.5"),
        ({"decay": "inverse_sigmoid", "decay_rate": 0.5}, "at least 1 for inverse_sigmoid decay; got 0.5"),
    ],
)
def test_settings_that_make_no_sense_are_named(values, message):
    with pytest.raises(InputError, match=message):
        TeacherForcingConfig(**values)


def test_trainings_with_and_without_predictions(tmp_path):
    corpus = write_corpus(tmp_path / "corpus", train=20, validation=4)
    states = {}
    for name, config in {
        "plain": None, "gold": TeacherForcingConfig(ratio=1.0, passes=5),
        "parallel": TeacherForcingConfig(ratio=0.5),
        "sequential": TeacherForcingConfig(ratio=0.5, form="sequential", prediction="sample"),
    }.items():  # fmt: skip
        train(*settings(corpus, tmp_path / name, max_steps=3), config)
        file = tmp_path / name / "training/checkpoints/last.ckpt"
        states[name] = torch.load(file, weights_only=True)["state_dict"]["model.decoder.output.weight"]
    assert torch.equal(states["plain"], states["gold"])
    assert not any(torch.equal(states["plain"], states[name]) for name in ("parallel", "sequential"))
