"""How good translations are."""

from seq2seq_fast.evaluation.scores import Scores, score

__all__ = ["Scores", "score"]
