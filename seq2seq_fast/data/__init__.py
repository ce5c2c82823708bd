"""Sentence pairs from files, vocabularies, and batches."""

from seq2seq_fast.data.batching import TokenBudgetSampler
from seq2seq_fast.data.collate import Batch, Collate, pad
from seq2seq_fast.data.corpora import Corpus, DatasetCorpus, InMemoryCorpus, TextCorpus, sample
from seq2seq_fast.data.dataset import PairDataset
from seq2seq_fast.data.encoding import EncodedPair
from seq2seq_fast.data.errors import InputError
from seq2seq_fast.data.pharaoh import GoldAlignment, Links, pharaoh_line, read_pharaoh
from seq2seq_fast.data.ranges import check_ranges
from seq2seq_fast.data.store import PairStore, open_store
from seq2seq_fast.data.text import SentencePair, read_lines, read_pairs
from seq2seq_fast.data.vocabulary import Vocabulary, VocabularyKind, build_vocabulary, load_vocabulary
from seq2seq_fast.data.word_alignment import WordAlignments

__all__ = [
    "Batch",
    "Collate",
    "Corpus",
    "DatasetCorpus",
    "EncodedPair",
    "GoldAlignment",
    "InMemoryCorpus",
    "InputError",
    "Links",
    "PairDataset",
    "PairStore",
    "SentencePair",
    "TextCorpus",
    "TokenBudgetSampler",
    "Vocabulary",
    "VocabularyKind",
    "WordAlignments",
    "build_vocabulary",
    "check_ranges",
    "load_vocabulary",
    "open_store",
    "pad",
    "pharaoh_line",
    "read_lines",
    "read_pairs",
    "read_pharaoh",
    "sample",
]
