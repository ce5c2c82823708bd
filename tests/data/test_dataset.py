"""Pairs as numbers and as padded batches."""

import torch

from seq2seq_fast.data import Collate, PairDataset, SentencePair, build_vocabulary, pad
from seq2seq_fast.data.encoding import EMPTY, TOO_LONG, told_left_out

PAIRS = [
    SentencePair("ja", "yes"),
    SentencePair("nein danke", "no"),
    SentencePair("", "x"),
    SentencePair("ja ja ja", ""),
]
VOCABULARY = build_vocabulary([side for pair in PAIRS for side in pair], "words", 50)


def test_the_length_filter_leaves_out_empty_and_long_pairs():
    assert len(PairDataset(PAIRS, VOCABULARY, VOCABULARY)) == 4
    filtered = PairDataset(PAIRS, VOCABULARY, VOCABULARY, max_length=2)
    assert len(filtered) == 2 and filtered.left_out == {EMPTY: 2}
    shorter = PairDataset(PAIRS, VOCABULARY, VOCABULARY, max_length=1)
    assert len(shorter) == 1 and shorter.left_out == {EMPTY: 2, TOO_LONG: 1}
    assert told_left_out(shorter.left_out) == "3 left out: 2 empty, 1 longer than data.max_length"


def test_targets_begin_and_end_and_sources_end():
    source, target, number, _ = PairDataset(PAIRS, VOCABULARY, VOCABULARY)[1]
    assert number == 1
    assert VOCABULARY.pieces(source) == ["▁nein", "▁danke", "</s>"]
    assert VOCABULARY.pieces(target) == ["<s>", "▁no", "</s>"]


def test_lengths_are_those_of_the_encoded_sides():
    dataset = PairDataset(PAIRS, VOCABULARY, VOCABULARY)
    assert dataset.lengths == [(len(source), len(target)) for source, target, *_ in (dataset[i] for i in range(4))]


def test_collate_pads_each_side_with_its_own_padding():
    dataset = PairDataset(PAIRS, VOCABULARY, VOCABULARY)
    batch = Collate(7, 9)([dataset[0], dataset[3]])
    assert batch.source.dtype == batch.source_lengths.dtype == batch.target.dtype == torch.int64
    assert batch.source.shape == (2, 4) and batch.target.shape == (2, 3)
    assert batch.source_lengths.tolist() == [2, 4] and batch.target_lengths.tolist() == [2, 1]
    assert batch.source[0, 2:].tolist() == [7, 7] and batch.target[1, 2].item() == 9
    assert batch.numbers.tolist() == [0, 3]
    for row, (source, target, *_) in enumerate([dataset[0], dataset[3]]):
        assert batch.source[row, : batch.source_lengths[row]].tolist() == source
        assert batch.target[row, : batch.target_lengths[row] + 1].tolist() == target


def test_pad_of_one_row_adds_nothing():
    tokens, lengths = pad([[3, 4]], 0)
    assert tokens.tolist() == [[3, 4]] and lengths.tolist() == [2]
