"""How good translations and alignments are."""

from seq2seq_fast.evaluation.alignment_quality import AlignmentQuality, alignment_quality
from seq2seq_fast.evaluation.scores import Scores, score

__all__ = ["AlignmentQuality", "Scores", "alignment_quality", "score"]
