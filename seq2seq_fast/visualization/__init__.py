"""Pictures of what the model attends to."""

from seq2seq_fast.visualization.alignment import Alignment, draw_alignments

__all__ = ["Alignment", "draw_alignments"]
