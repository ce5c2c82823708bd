"""Corpus scores by sacreBLEU (Post 2018, "A Call for Clarity in Reporting BLEU Scores")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sacrebleu

from seq2seq_fast.evaluation.references import References, for_sacrebleu, several
from seq2seq_fast.evaluation.tokenizers import choose_tokenizer


@dataclass(frozen=True)
class Scores:
    """Scores of a set of translations, cased and detokenised, from 0 to 100.

    Attributes:
        bleu, chrf: corpus BLEU (Papineni et al. 2002) and chrF2 (Popović 2015).
        bleu_signature, chrf_signature: how each was computed, as sacreBLEU writes it; to be published with the score.
    """

    bleu: float
    chrf: float
    bleu_signature: str
    chrf_signature: str

    def __str__(self) -> str:
        return f"BLEU {self.bleu:.2f}  {self.bleu_signature}\nchrF2 {self.chrf:.2f}  {self.chrf_signature}"


def metrics(references: References, tokenize: str = "auto") -> dict[str, sacrebleu.metrics.base.Metric]:
    """Return sacreBLEU's BLEU and chrF2 for these references; the arguments are as in `score`."""
    lines = [line for one in several(references) for line in one]
    # force: text that ends in tokenised full stops is scored as it is, without a warning for each call.
    bleu = sacrebleu.metrics.BLEU(force=True, tokenize=choose_tokenizer(lines, tokenize))
    return {"BLEU": bleu, "chrF2": sacrebleu.metrics.CHRF()}


def score(hypotheses: Sequence[str], references: References, tokenize: str = "auto") -> Scores:
    """Score translations against one reference each, or several.

    Args:
        hypotheses: text, sentence by sentence.
        references: text, sentence by sentence; or several such, [references][sentences], of which each has a line for
            each sentence. An empty line beside others is no reference.
        tokenize: sacreBLEU's tokenizer for BLEU, by its name; auto chooses by the references' scripts, see
            `choose_tokenizer`. chrF counts characters and needs none.

    Raises:
        InputError: there are none, or not as many of the one as of the other.
    """
    checked = for_sacrebleu(hypotheses, references)
    bleu, chrf = metrics(references, tokenize).values()
    bleu_score, chrf_score = (metric.corpus_score(list(hypotheses), checked).score for metric in (bleu, chrf))
    return Scores(bleu_score, chrf_score, str(bleu.get_signature()), str(chrf.get_signature()))
