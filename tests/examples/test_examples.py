"""The worked examples: what they draw, and what they learn."""

import itertools
import random

import pytest
import torch

from examples import captioning, question_answering, routing, speech, summarisation
from examples.common import Example, Found, Learner, score, word_errors
from examples.pictures import draw_between_words, draw_over_features

ALL = [captioning, question_answering, speech, summarisation]


def name_of(module):
    return module.__name__.rpartition(".")[2]


@pytest.mark.parametrize("example", ALL, ids=name_of)
def test_examples_are_drawn_alike_from_a_seed_and_fit_the_model(example):
    first, again, other = (example.TASK.draw(random.Random(seed)) for seed in (3, 3, 4))
    assert first.words == again.words != other.words
    learner = Learner(example.TASK, hidden=8)
    sources, lengths = learner.sources([first, again, other])
    assert lengths[0] == lengths[1] > len(first.words)
    assert torch.equal(sources[0], sources[1]) and bool(sources.isfinite().all())
    assert bool(learner.loss([first, other]).isfinite())


def test_strips_of_the_test_show_other_images_than_those_of_the_training():
    drawn = {
        test: {place for seed in range(50) for place in captioning.places(random.Random(seed), test)}
        for test in (False, True)
    }
    assert not drawn[False] & drawn[True]


def test_answers_say_where_the_person_went_last():
    for seed in range(20):
        story, answer = question_answering.TASK.draw(random.Random(seed))
        person, place = answer[0], answer[-1]
        assert story[-2] == person
        last = max(i for i, word in enumerate(story[:-4]) if word == person)
        assert story[last + 4] == place


@pytest.mark.parametrize(
    ("found", "wanted", "errors"),
    [("", "", 0), ("", "a b", 2), ("a b c", "a c", 1), ("a x c", "a b c", 1), ("b a", "a b", 2), ("a", "b a b", 2)],
)
def test_word_errors_are_the_fewest_corrections(found, wanted, errors):
    assert word_errors(found.split(), wanted.split()) == word_errors(wanted.split(), found.split()) == errors


def test_the_score_counts_sources_without_a_mistake_and_errors_a_word():
    wanted = [Example(["x"], ["a", "b"]), Example(["x"], ["c", "d"])]
    found = [Found(["a", "b"], torch.zeros(2, 1)), Found(["c"], torch.zeros(1, 1))]
    assert score(found, wanted) == (0.5, 0.25)


def test_pictures_of_both_kinds_are_drawn(tmp_path):
    weights = torch.rand(2, 5)
    over = draw_over_features(torch.rand(5, 8), Found(["a", "b"], weights), tmp_path / "over.png")
    between = draw_between_words([(Example(list("vwxyz"), ["a", "b"]), Found(["a", "b"], weights))], tmp_path / "b.png")
    assert min(over.stat().st_size, between.stat().st_size) > 1000


def test_the_best_round_trips_are_the_shortest_of_all_and_pointed_ones_are_round_trips():
    torch.manual_seed(0)
    cities = torch.rand(5, 6, 2)
    orders = torch.tensor([(0, *order) for order in itertools.permutations(range(1, 6))])
    every = torch.stack([routing.lengths(cities, order.expand(5, 6)) for order in orders])
    torch.testing.assert_close(routing.lengths(cities, routing.best(cities)), every.min(0).values)
    pointed, scores = routing.PointerNetwork(size=8)(cities)
    for trips in (routing.best(cities), routing.nearest(cities), pointed):
        assert (trips[:, 0] == 0).all() and (trips.sort(1).values == torch.arange(6)).all()
    assert scores.shape == (5, 5, 6) and (scores[:, :, 0] == -torch.inf).all()


@pytest.mark.prove
def test_a_pointer_network_learns_short_round_trips(tmp_path):
    result = routing.main(pictures=tmp_path)
    assert result.pointer < 0.03 < result.nearest
    assert (tmp_path / "routing.png").stat().st_size > 1000


# As `python -m examples.NAME` trains; examples/README.md has the figures.
@pytest.mark.prove
@pytest.mark.parametrize(
    ("example", "exact"),
    [(captioning, 0.9), (question_answering, 0.97), (speech, 0.95), (summarisation, 0.97)],
    ids=["captioning", "question_answering", "speech", "summarisation"],
)
def test_a_model_learns_it_and_its_attention_is_drawn(example, exact, tmp_path):
    result = example.main(pictures=tmp_path)
    assert result.exact > exact and result.word_errors < 1 - exact
    [picture] = tmp_path.iterdir()
    assert 1000 < picture.stat().st_size < 100_000
