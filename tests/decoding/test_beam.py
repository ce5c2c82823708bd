"""Beam search."""

import itertools
import math

import pytest
import torch

from seq2seq_fast.decoding import SearchLimits, beam_search, greedy_search
from seq2seq_fast.decoding.beam import _Beams, penalty_of
from tests.decoding.models import BOS, EOS, small_model, sources


def log_probability(model, source, tokens, ended=True):
    target = [BOS, *tokens]
    output = model(source[None], torch.tensor([len(source)]), torch.tensor([target]))
    each = model.logits(output.readout)[0].log_softmax(-1)
    pieces = [*tokens, EOS] if ended else tokens
    return sum(each[position, piece].item() for position, piece in enumerate(pieces))


@pytest.mark.parametrize("alpha", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_one_beam_is_greedy(alpha, seed):
    model = small_model(seed=seed)
    source, lengths = sources(25, seed=seed)
    arguments = {"bos_id": BOS, "eos_id": EOS, "need_weights": True}
    beams = beam_search(model, source, lengths, beam_size=1, length_penalty=alpha, **arguments)
    for [beam], greedy in zip(beams, greedy_search(model, source, lengths, **arguments), strict=True):
        assert beam.tokens == greedy.tokens
        assert beam.log_probability == pytest.approx(greedy.log_probability, abs=1e-4)
        torch.testing.assert_close(beam.weights, greedy.weights)


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0, 2.0])
@torch.no_grad()
def test_a_wide_beam_finds_the_best_of_all_translations(alpha):
    vocabulary, longest = 5, 4
    others = [piece for piece in range(vocabulary) if piece != EOS]
    best_sizes = set()
    for seed in range(5):
        model = small_model(vocabulary, seed=seed, sharpness=4.0, end=-1.0)
        source, lengths = sources(1, seed=seed)
        found = beam_search(
            model, source, lengths, bos_id=BOS, eos_id=EOS, beam_size=vocabulary**longest, n_best=3,
            length_penalty=alpha, limits=SearchLimits(0.0, longest),
        )[0]  # fmt: skip
        every = [
            (log_probability(model, source[0], list(tokens)) / penalty_of(size + 1, alpha), list(tokens))
            for size in range(longest)
            for tokens in itertools.product(others, repeat=size)
        ]
        best = sorted(every, reverse=True)[:3]
        best_sizes.add(len(best[0][1]))
        assert [hypothesis.tokens for hypothesis in found] == [tokens for _, tokens in best]
        assert [hypothesis.score for hypothesis in found] == pytest.approx([score for score, _ in best], abs=1e-4)
    assert len(best_sizes) > 1


@pytest.mark.parametrize(
    "settings",
    [{}, {"attention": None}, {"cell": "lstm", "attention_position": "after"}, {"attention_history": "coverage"}],
)
def test_a_batch_gives_what_its_sentences_give_one_by_one(settings):
    model = small_model(seed=5, **settings)
    source, lengths = sources(16, seed=2)
    arguments = {"bos_id": BOS, "eos_id": EOS, "beam_size": 4, "n_best": 2, "need_weights": True}
    for row, found in enumerate(beam_search(model, source, lengths, **arguments)):
        size = int(lengths[row])
        alone = beam_search(model, source[row : row + 1, :size], lengths[row : row + 1], **arguments)[0]
        assert [one.tokens for one in alone] == [one.tokens for one in found]
        assert [one.score for one in alone] == pytest.approx([one.score for one in found], abs=1e-4)


@torch.no_grad()
def test_scores_and_weights_belong_to_the_tokens():
    model = small_model(seed=1)
    source, lengths = sources(10, seed=4)
    found = beam_search(
        model, source, lengths, bos_id=BOS, eos_id=EOS, beam_size=5, n_best=5, length_penalty=0.7, need_weights=True
    )
    for row, hypotheses in enumerate(found):
        size = int(lengths[row])
        sentence = source[row, :size]
        assert len({tuple(hypothesis.tokens) for hypothesis in hypotheses}) == len(hypotheses) > 0
        assert [one.score for one in hypotheses] == sorted((one.score for one in hypotheses), reverse=True)
        for one in hypotheses:
            ended = len(one.tokens) < 2 * size + 10
            total = log_probability(model, sentence, one.tokens, ended)
            assert one.log_probability == pytest.approx(total, abs=1e-3)
            assert one.score == pytest.approx(total / penalty_of(len(one.tokens) + ended, 0.7), abs=1e-3)
            output = model(sentence[None], lengths[row : row + 1], torch.tensor([[BOS, *one.tokens]]))
            torch.testing.assert_close(one.weights, output.weights[0, :-1], atol=1e-5, rtol=1e-4)


def test_a_wider_beam_finds_more_probable_translations():
    model = small_model(seed=2, sharpness=4.0)
    source, lengths = sources(40, seed=6)
    arguments = {"bos_id": BOS, "eos_id": EOS, "length_penalty": 0.0}
    narrow = beam_search(model, source, lengths, beam_size=1, **arguments)
    wide = beam_search(model, source, lengths, beam_size=8, **arguments)
    gains = [b[0].score - a[0].score for a, b in zip(narrow, wide, strict=True)]
    assert sum(gains) > 0 and max(gains) > 0.1


def test_a_longer_translation_is_preferred_with_a_stronger_penalty():
    model = small_model(seed=2, sharpness=4.0)
    source, lengths = sources(40, seed=6)
    sizes = [
        sum(
            len(found[0].tokens)
            for found in beam_search(model, source, lengths, bos_id=BOS, eos_id=EOS, length_penalty=alpha)
        )
        for alpha in (0.0, 1.0, 2.0)
    ]
    assert sizes == sorted(sizes) and sizes[0] < sizes[2]


def test_length_penalty_is_the_published_one():
    assert penalty_of(1, 0.6) == 1.0 and penalty_of(7, 1.0) == 2.0 and penalty_of(99, 0.0) == 1.0


def test_arguments_out_of_range_are_refused_and_nothing_gives_nothing():
    source, lengths = sources(2)
    for beam_size, n_best in ((0, 1), (2, 3), (2, 0)):
        with pytest.raises(ValueError, match="n_best must lie between 1 and beam_size"):
            beam_search(small_model(), source, lengths, bos_id=BOS, eos_id=EOS, beam_size=beam_size, n_best=n_best)
    assert beam_search(small_model(), source[:0], lengths[:0], bos_id=BOS, eos_id=EOS) == []


@pytest.mark.parametrize("alpha", [0.0, 2.0])
def test_with_patience_no_better_score_is_reachable(alpha, monkeypatch):
    model = small_model(seed=3, sharpness=8.0, end=3.0)
    source, lengths = sources(60, seed=3)
    arguments = {"bos_id": BOS, "eos_id": EOS, "beam_size": 4, "length_penalty": alpha}

    def scores(**settings):
        found = beam_search(model, source, lengths, **arguments, **settings)
        return [one[0].score for one in found]

    soon, some, patient = (scores(patience=patience) for patience in (0.0, 0.3, 1.0))
    begin = _Beams.__init__

    def endless(self, *settings):
        begin(self, *settings)
        self._patience = math.inf  # a search that never stops before the longest output

    monkeypatch.setattr(_Beams, "__init__", endless)
    assert patient == pytest.approx(scores(), abs=1e-5)
    better = sum(b > a + 1e-5 for a, b in zip(soon, patient, strict=True))
    assert all(a <= b + 1e-5 <= c + 2e-5 for a, b, c in zip(soon, some, patient, strict=True))
    assert (better > 0) == (alpha > 0)
    with pytest.raises(ValueError, match="patience must lie between 0 and 1"):
        beam_search(model, source, lengths, patience=2.0, **arguments)
