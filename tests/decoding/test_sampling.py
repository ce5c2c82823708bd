"""Translations drawn at random."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seq2seq_fast.data import InputError, build_vocabulary
from seq2seq_fast.decoding import Sampler, SearchConfig, Translator, score_given
from tests.decoding.models import small_model

LINES = ["ein Hund", "der kleine Hund sieht die Katze", "", "die Katze", "zwei Hunde und drei Katzen sehen den Ball"]


@pytest.fixture(scope="module")
def translator():
    vocabulary = build_vocabulary(LINES, "words", 40)
    model = small_model(len(vocabulary), source_vocabulary=len(vocabulary), sharpness=2.0, end=1.0)
    return Translator(model, vocabulary, vocabulary)


def texts(translator, lines=LINES, first=1, n_best=4, **settings):
    config = SearchConfig(sample=True, **settings)
    found = translator.search(lines, config, n_best=n_best, origin=("line", first))
    return [[one.text for one in each] for each in found]


def test_batches_change_nothing_and_seeds_do(translator):
    together = texts(translator)
    assert together == texts(translator, batch_tokens=1)
    assert together == [texts(translator, [line], first)[0] for first, line in enumerate(LINES, 1)]
    assert together != texts(translator, seed=2) and len(set(map(tuple, together))) > 3
    assert len(set(together[4])) > 1
    assert together[2] == [""]
    # A sample more leaves those that there were.
    more = texts(translator, n_best=5)
    assert all(set(few) <= set(many) for few, many in zip(together, more, strict=True))


@pytest.mark.parametrize("settings", [{"top_k": 1}, {"temperature": 1e-6}, {"top_p": 1e-9}])
def test_the_narrowest_draw_is_greedy_search(translator, settings):
    greedy = translator.translate(LINES, SearchConfig(beam_size=1))
    assert texts(translator, n_best=1, **settings) == [[text] for text in greedy]


def test_scores_are_the_models_own_and_restrictions_hold(translator):
    config = SearchConfig(sample=True, temperature=3.0, min_length=4, max_length=8, no_repeat_ngram=1)
    found = translator.search(LINES, config, n_best=6, prefixes=["die Katze"] * len(LINES), need_weights=True)
    for line, each in zip(LINES, found, strict=True):
        if not line:
            continue
        assert [one.score for one in each] == sorted((one.score for one in each), reverse=True)
        for one in each:
            assert one.text.startswith("die Katze") and 4 <= len(one.target_pieces) <= 8
            assert len(set(one.target_pieces)) == len(one.target_pieces)
            assert one.weights.shape[0] == len(one.target_pieces)
            if len(one.target_pieces) == 8 or "<unk>" in one.target_pieces:
                continue
            (given_score,) = score_given(translator, [(line, one.text)])
            if given_score.pieces == one.target_pieces:
                assert one.log_probability == pytest.approx(given_score.log_probability, abs=1e-3)


def test_pieces_are_drawn_as_often_as_they_are_probable():
    probabilities = torch.tensor([0.5, 0.0, 0.3, 0.15, 0.05])
    count = 20_000
    sampler = Sampler([str(number) for number in range(count)])
    drawn = sampler(probabilities.log().expand(count, -1), torch.arange(count))
    shares = torch.bincount(drawn, minlength=5) / count
    for share, wanted in zip(shares.tolist(), probabilities.tolist(), strict=True):
        assert abs(share - wanted) <= 5 * math.sqrt(wanted * (1 - wanted) / count)


@given(
    st.lists(st.floats(-20, 0), min_size=2, max_size=9), st.floats(0.1, 10), st.integers(0, 10), st.floats(0.01, 1.0)
)
def test_the_distribution_is_the_definition(logs, temperature, top_k, top_p):
    logs = torch.tensor([logs], dtype=torch.float64)
    found = Sampler([], temperature=temperature, top_k=top_k, top_p=top_p).distribution(logs)[0]
    weights = [math.exp(one / temperature) for one in logs[0].tolist()]
    order = sorted(range(len(weights)), key=lambda place: -weights[place])
    order = order[: top_k or None]
    total = sum(weights[place] for place in order)
    kept, mass = [], 0.0
    for place in order:
        if mass < top_p - 1e-12 or not kept:
            kept.append(place)
        mass += weights[place] / total
    # Which of two equal ones stands at the border is nobody's business.
    wanted = sorted(weights[place] / sum(weights[one] for one in kept) for place in kept)
    assert sorted(found[found > 0].tolist()) == pytest.approx([one for one in wanted if one > 0], rel=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": 0.0}, "search.temperature must be larger than 0"),
        ({"top_k": -1}, "search.top_k must be at least 0"),
        ({"top_p": 0.0}, "search.top_p must be"),
        ({"top_p": 1.5}, "search.top_p must be"),
        ({"patience": 2.0}, "search.patience must be"),
        ({"seed": -1}, "search.seed must be at least 0"),
    ],
)
def test_settings_out_of_range_are_named(settings, message):
    with pytest.raises(InputError, match=message):
        SearchConfig(**settings)


def test_a_sampler_refuses_what_is_out_of_range():
    for settings in ({"temperature": 0.0}, {"top_k": -1}, {"top_p": 0.0}, {"top_p": 1.1}):
        with pytest.raises(ValueError, match="temperature must be above 0"):
            Sampler(["a"], **settings)
