"""How good translations and alignments are."""

from seq2seq_fast.evaluation.alignment_quality import AlignmentQuality, alignment_quality
from seq2seq_fast.evaluation.by_length import LengthScore, bleu_by_length, length_table
from seq2seq_fast.evaluation.comet_score import comet_score, load_comet
from seq2seq_fast.evaluation.scores import Scores, score
from seq2seq_fast.evaluation.significance import paired_test, significance_table
from seq2seq_fast.evaluation.tokenizers import choose_tokenizer

__all__ = [
    "AlignmentQuality",
    "LengthScore",
    "Scores",
    "alignment_quality",
    "bleu_by_length",
    "choose_tokenizer",
    "comet_score",
    "length_table",
    "load_comet",
    "paired_test",
    "score",
    "significance_table",
]
