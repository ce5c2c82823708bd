"""Pictures of what the model attends to."""

from seq2seq_fast.visualization.alignment import draw_alignments

__all__ = ["draw_alignments"]
