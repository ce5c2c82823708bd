"""A synchronous grammar: one meaning, a sentence in each language, and the alignment of their words."""

from seq2seq_fast.data.grammar.corpus import LANGUAGES, AlignedPair, embedded_corpus

__all__ = ["LANGUAGES", "AlignedPair", "embedded_corpus"]
