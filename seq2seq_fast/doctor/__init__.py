"""Proof on the user's own machine: versions, equivalence with float64 truth, timings, a report. Imports torch alone."""

from seq2seq_fast.doctor.command import main

__all__ = ["main"]
