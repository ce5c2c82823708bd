"""Pictures: what the model attends to, BLEU by source length, the curves of a training."""

from seq2seq_fast.visualization.alignment import Alignment, draw_alignments
from seq2seq_fast.visualization.curves import draw_bleu_by_length, draw_training

__all__ = ["Alignment", "draw_alignments", "draw_bleu_by_length", "draw_training"]
