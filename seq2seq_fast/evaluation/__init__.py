"""How good translations and alignments are."""

from seq2seq_fast.evaluation.alignment_quality import AlignmentQuality, alignment_quality
from seq2seq_fast.evaluation.by_length import LengthScore, bleu_by_length, length_table
from seq2seq_fast.evaluation.scores import Scores, score

__all__ = ["AlignmentQuality", "LengthScore", "Scores", "alignment_quality", "bleu_by_length", "length_table", "score"]
