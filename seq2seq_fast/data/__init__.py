"""Sentence pairs from files, vocabularies, and batches."""

from seq2seq_fast.data.batching import TokenBudgetSampler
from seq2seq_fast.data.collate import Batch, Collate, pad
from seq2seq_fast.data.dataset import EncodedPair, PairDataset
from seq2seq_fast.data.errors import InputError
from seq2seq_fast.data.ranges import check_ranges
from seq2seq_fast.data.text import SentencePair, read_lines, read_pairs
from seq2seq_fast.data.vocabulary import Vocabulary, VocabularyKind, build_vocabulary, load_vocabulary

__all__ = [
    "Batch",
    "Collate",
    "EncodedPair",
    "InputError",
    "PairDataset",
    "SentencePair",
    "TokenBudgetSampler",
    "Vocabulary",
    "VocabularyKind",
    "build_vocabulary",
    "check_ranges",
    "load_vocabulary",
    "pad",
    "read_lines",
    "read_pairs",
]
