"""Given translations are scored as in training."""

import math

import pytest
import torch

from seq2seq_fast.data import build_vocabulary, pad
from seq2seq_fast.decoding import Ensemble, Translator, perplexity, score_given
from seq2seq_fast.training.loss import vocabulary_loss
from tests.decoding.models import small_model

SOURCES = ["ein Hund", "der kleine Hund sieht die Katze", "die Katze", "", "zwei Hunde und drei Katzen sehen den Ball"]
TARGETS = ["die Katze und ein Hund", "ein Ball", "", "der Hund", "zwei Katzen sehen unbekannte Hunde"]
PAIRS = list(zip(SOURCES, TARGETS, strict=True))


def vocabulary():
    return build_vocabulary(SOURCES, "words", 40)


def model_of(words, seed=0, **settings):
    return small_model(len(words), source_vocabulary=len(words), sharpness=5.0, end=-1.0, seed=seed, **settings)


@pytest.mark.parametrize("settings", [{}, {"attention": None}])
def test_scores_are_the_training_loss(settings):
    words = vocabulary()
    model = model_of(words, **settings)
    found = list(score_given(Translator(model, words, words), PAIRS))
    source, lengths = pad([[*words.encode(source), words.eos_id] for source in SOURCES], words.pad_id)
    targets = [words.encode(target) for target in TARGETS]
    inputs, counts = pad([[words.bos_id, *target] for target in targets], words.pad_id)
    outputs, _ = pad([[*target, words.eos_id] for target in targets], words.pad_id)
    with torch.no_grad():
        output = model(source, lengths, inputs)
        loss = vocabulary_loss(output.readout, model.decoder.output, outputs, pad_id=words.pad_id)
    assert [len(one.log_probabilities) for one in found] == counts.tolist()
    total = math.fsum(one.log_probability for one in found)
    assert -total / int(counts.sum()) == pytest.approx(float(loss), rel=1e-6)


@pytest.mark.parametrize("average", ["probabilities", "log_probabilities"])
def test_an_ensemble_averages_as_its_search_does(average):
    words = vocabulary()
    ensemble = Ensemble([model_of(words, seed=seed) for seed in (0, 1)], average)
    found = list(score_given(Translator(ensemble, words, words), PAIRS))
    for (source, target), one in zip(PAIRS, found, strict=True):
        ids = torch.tensor([[*words.encode(source), words.eos_id]])
        state = ensemble.start(ensemble.encode(ids, torch.tensor([ids.shape[1]])))
        piece, expected = words.bos_id, []
        with torch.no_grad():
            for following in [*words.encode(target), words.eos_id]:
                step = ensemble.step(torch.tensor([piece]), state)
                expected.append(float(step.logits[0, following]))
                piece, state = following, step.state
        assert one.log_probabilities == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_batches_and_parts_of_the_positions_change_nothing(monkeypatch):
    words = vocabulary()
    translator = Translator(model_of(words), words, words)
    together = [one.log_probabilities for one in score_given(translator, PAIRS)]
    monkeypatch.setattr("seq2seq_fast.decoding.scoring._POSITIONS", 3)
    heard = []
    alone = [one.log_probabilities for one in score_given(translator, PAIRS, batch_tokens=1, told=heard.append)]
    for one, other in zip(together, alone, strict=True):
        assert one == pytest.approx(other, rel=1e-5, abs=1e-6)
    assert sum(heard) == len(PAIRS)


def test_a_batch_that_the_memory_is_too_small_for_is_halved(monkeypatch):
    words = vocabulary()
    translator = Translator(model_of(words), words, words)
    whole = [one.log_probabilities for one in score_given(translator, PAIRS)]
    forward = type(translator.model).forward

    def small(self, source, *rest, **options):
        if source.shape[0] > 1:
            raise MemoryError
        return forward(self, source, *rest, **options)

    monkeypatch.setattr(type(translator.model), "forward", small)
    for one, other in zip(score_given(translator, PAIRS), whole, strict=True):
        assert one.log_probabilities == pytest.approx(other, rel=1e-5, abs=1e-6)


def test_perplexity_ends_at_infinity_and_nothing_surprises_nobody():
    assert perplexity(0.0, 0) == 1 and perplexity(-1e6, 1) == math.inf
    assert perplexity(-math.log(8), 3) == pytest.approx(2)
