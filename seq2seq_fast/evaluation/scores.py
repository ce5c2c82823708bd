"""Corpus scores by sacreBLEU (Post 2018, "A Call for Clarity in Reporting BLEU Scores")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sacrebleu

from seq2seq_fast.data.errors import InputError
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


def score(hypotheses: Sequence[str], references: Sequence[str], tokenize: str = "auto") -> Scores:
    """Score translations against one reference each.

    Args:
        hypotheses, references: text, sentence by sentence.
        tokenize: sacreBLEU's tokenizer for BLEU, by its name; auto chooses by the references' scripts, see
            `choose_tokenizer`. chrF counts characters and needs none.

    Raises:
        InputError: there are none, or not as many of the one as of the other.
    """
    if len(hypotheses) != len(references):
        raise InputError(f"there are {len(hypotheses):,} translations but {len(references):,} references")
    if not hypotheses:
        raise InputError("there is no translation to score")
    # force: text that ends in tokenised full stops is scored as it is, without a warning for each call.
    bleu = sacrebleu.metrics.BLEU(force=True, tokenize=choose_tokenizer(references, tokenize))
    chrf = sacrebleu.metrics.CHRF()
    bleu_score = bleu.corpus_score(list(hypotheses), [list(references)]).score
    chrf_score = chrf.corpus_score(list(hypotheses), [list(references)]).score
    return Scores(bleu_score, chrf_score, str(bleu.get_signature()), str(chrf.get_signature()))
