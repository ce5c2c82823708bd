"""BLEU and chrF."""

import pytest
import sacrebleu

from seq2seq_fast.data import InputError
from seq2seq_fast.evaluation import score

REFERENCES = ["The man sees the dog in the garden.", "Two women are sitting on a bench."]
HYPOTHESES = ["The man sees a dog in the garden.", "Two women sit on a bench."]


def test_a_perfect_translation_scores_a_hundred():
    scores = score(REFERENCES, REFERENCES)
    assert scores.bleu == pytest.approx(100) and scores.chrf == pytest.approx(100)


def test_scores_and_signatures_are_those_of_sacrebleu():
    scores = score(HYPOTHESES, REFERENCES)
    assert scores.bleu == sacrebleu.corpus_bleu(HYPOTHESES, [REFERENCES]).score
    assert scores.chrf == sacrebleu.corpus_chrf(HYPOTHESES, [REFERENCES]).score
    assert "case:mixed" in scores.bleu_signature and f"version:{sacrebleu.__version__}" in scores.bleu_signature
    assert "nc:6" in scores.chrf_signature
    assert str(scores).splitlines()[0].startswith(f"BLEU {scores.bleu:.2f}  nrefs:1")


def test_case_matters():
    assert score([line.lower() for line in REFERENCES], REFERENCES).bleu < 100


def test_empty_translations_score_zero():
    assert score(["", ""], REFERENCES).bleu == 0


def test_unequal_or_no_sentences_are_refused():
    with pytest.raises(InputError, match="1 translations but 2 references"):
        score(HYPOTHESES[:1], REFERENCES)
    with pytest.raises(InputError, match="no translation"):
        score([], [])


def test_several_references_are_sacrebleus_and_an_empty_line_beside_others_is_none():
    others = ["The man is seeing a dog in the garden.", ""]
    scores = score(HYPOTHESES, [REFERENCES, others])
    wanted = sacrebleu.metrics.BLEU()
    assert scores.bleu == wanted.corpus_score(HYPOTHESES, [REFERENCES, [others[0], None]]).score
    assert scores.bleu_signature == str(wanted.get_signature()) and "nrefs:var" in scores.bleu_signature
    assert scores.bleu > score(HYPOTHESES, REFERENCES).bleu
    assert score(HYPOTHESES, [REFERENCES]) == score(HYPOTHESES, REFERENCES)
    with pytest.raises(InputError, match="2 translations but 1 references"):
        score(HYPOTHESES, [REFERENCES, others[:1]])
