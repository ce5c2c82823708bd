"""Builds the compiled parts of seq2seq_fast; used by setup.py and by the proofs under sanitizers."""
