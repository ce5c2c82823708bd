"""Greedy search."""

import pytest
import torch

from seq2seq_fast.decoding import SearchLimits, beam_search, greedy_search
from seq2seq_fast.nn import Encoder
from tests.decoding.models import BOS, EOS, small_model, sources


def naive(model, source, limit):
    """One sentence, whole prefixes through the model again for every piece."""
    tokens, total, weights = [], 0.0, None
    while len(tokens) < limit:
        output = model(source[None], torch.tensor([len(source)]), torch.tensor([[BOS, *tokens]]))
        log_probabilities = model.logits(output.readout)[0, -1].log_softmax(-1)
        value, piece = log_probabilities.max(-1)
        total += value.item()
        if piece == EOS:
            break
        tokens.append(piece.item())
        weights = None if output.weights is None else output.weights[0]
    return tokens, total, weights


@pytest.mark.parametrize("settings", [{}, {"attention": None}, {"cell": "lstm", "attention_position": "after"}])
@torch.no_grad()
def test_each_piece_is_the_most_probable_after_those_before(settings):
    model = small_model(**settings)
    source, lengths = sources(12)
    found = greedy_search(model, source, lengths, bos_id=BOS, eos_id=EOS, need_weights=True)
    ended = 0
    for row, hypothesis in enumerate(found):
        size = int(lengths[row])
        tokens, total, weights = naive(model, source[row, :size], 2 * size + 10)
        assert hypothesis.tokens == tokens
        assert hypothesis.score == hypothesis.log_probability == pytest.approx(total, abs=1e-4)
        if model.config.attention is not None and tokens:
            torch.testing.assert_close(hypothesis.weights, weights, atol=1e-5, rtol=1e-4)
        ended += len(tokens) < 2 * size + 10
    assert ended > 0


def test_a_batch_gives_what_its_sentences_give_one_by_one():
    model = small_model(seed=3)
    source, lengths = sources(20, seed=1)
    together = greedy_search(model, source, lengths, bos_id=BOS, eos_id=EOS)
    for row, hypothesis in enumerate(together):
        size = int(lengths[row])
        alone = greedy_search(model, source[row : row + 1, :size], lengths[row : row + 1], bos_id=BOS, eos_id=EOS)[0]
        assert alone.tokens == hypothesis.tokens
        assert alone.score == pytest.approx(hypothesis.score, abs=1e-4)


def test_the_limit_depends_on_the_source_and_holds():
    model = small_model()
    with torch.no_grad():
        model.decoder.output.bias[EOS] = -1e4
    source, lengths = sources(6)
    found = greedy_search(model, source, lengths, bos_id=BOS, eos_id=EOS, limits=SearchLimits(ratio=1.5, extra=2))
    assert [len(hypothesis.tokens) for hypothesis in found] == [int(1.5 * size) + 2 for size in lengths.tolist()]


def test_weights_cover_the_source_of_each_sentence():
    source, lengths = sources(5)
    for hypothesis, size in zip(
        greedy_search(small_model(), source, lengths, bos_id=BOS, eos_id=EOS, need_weights=True),
        lengths.tolist(),
        strict=True,
    ):
        assert hypothesis.weights.shape == (len(hypothesis.tokens), size)
        torch.testing.assert_close(hypothesis.weights.sum(1), torch.ones(len(hypothesis.tokens)))


def test_an_empty_batch_gives_no_hypotheses():
    empty = torch.zeros(0, 4, dtype=torch.int64), torch.zeros(0, dtype=torch.int64)
    assert greedy_search(small_model(), *empty, bos_id=BOS, eos_id=EOS) == []


class OnFeatures:
    """A model behind an encoder without an embedding."""

    def __init__(self, model):
        self.start, self.step = model.start, model.step
        self.encode = Encoder(model.config.source_size, model.config.encoder_hidden_size)
        self.encode.load_state_dict(model.encoder.state_dict(), strict=False)


def test_sources_may_be_features():
    model = small_model()
    source, lengths = sources(6)
    features = model.encoder.embedding(source).detach()
    ends = {"bos_id": BOS, "eos_id": EOS}
    assert greedy_search(OnFeatures(model), features, lengths, **ends) == greedy_search(model, source, lengths, **ends)
    found = beam_search(OnFeatures(model), features, lengths, **ends, beam_size=3, coverage_penalty=0.1)
    assert found == beam_search(model, source, lengths, **ends, beam_size=3, coverage_penalty=0.1)
