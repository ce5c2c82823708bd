"""Encoded pairs on disk."""

import errno
import json
import pickle
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seq2seq_fast.data import (
    Collate,
    InMemoryCorpus,
    InputError,
    PairDataset,
    SentencePair,
    TokenBudgetSampler,
    build_vocabulary,
    encoding,
    open_store,
)

WORDS = ["ja", "nein", "danke", "bitte", "wo", "ist", "das", "haus"]
VOCABULARY = build_vocabulary([" ".join(WORDS)], "words", 50)
texts = st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join)
PAIRS = [SentencePair(" ".join(WORDS[: i % 9]), " ".join(WORDS[: (5 * i) % 9])) for i in range(100)]


def same(store, dataset):
    return list(store) == list(dataset) and np.asarray(store.lengths).tolist() == [
        list(pair) for pair in dataset.lengths
    ]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.builds(SentencePair, texts, texts), max_size=40), st.sampled_from([None, 1, 3]))
def test_a_store_holds_what_a_dataset_in_memory_holds(tmp_path_factory, pairs, max_length):
    cache = tmp_path_factory.mktemp("cache")
    store = open_store(cache, InMemoryCorpus(pairs), VOCABULARY, VOCABULARY, max_length=max_length)
    dataset = PairDataset(pairs, VOCABULARY, VOCABULARY, max_length=max_length)
    assert same(store, dataset) and store.left_out == dataset.left_out


def test_a_store_that_does_not_know_the_reasons_still_counts_what_was_left_out(tmp_path):
    store = open_store(tmp_path, InMemoryCorpus(PAIRS), VOCABULARY, VOCABULARY, max_length=5)
    assert set(store.left_out) == {"empty", "longer than data.max_length"}
    [about] = tmp_path.glob("*/about.json")
    known = json.loads(about.read_text())
    del known["reasons"], known["checksum"]
    about.write_text(json.dumps(known))
    old = open_store(tmp_path, InMemoryCorpus(PAIRS), VOCABULARY, VOCABULARY, max_length=5)
    assert old.left_out == {"empty or longer than data.max_length": store.left_out.total()}


@pytest.mark.parametrize("kind", ["words", "bpe"])
def test_processes_that_encode_give_what_one_gives(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(encoding, "_BLOCK", 7)
    vocabulary = build_vocabulary([side for pair in PAIRS for side in pair], kind, 40)
    found = open_store(tmp_path, InMemoryCorpus(PAIRS), vocabulary, vocabulary, max_length=20, workers=2)
    assert same(found, PairDataset(PAIRS, vocabulary, vocabulary, max_length=20))


def test_the_cache_is_found_again_and_another_text_vocabulary_or_limit_is_not_it(tmp_path):
    other = build_vocabulary(["ja wo"], "words", 50)
    wanted = [(PAIRS, VOCABULARY, 5), (PAIRS[1:], VOCABULARY, 5), (PAIRS, other, 5), (PAIRS, VOCABULARY, 6)]
    for pairs, vocabulary, max_length in wanted * 2:
        store = open_store(tmp_path, InMemoryCorpus(pairs), vocabulary, vocabulary, max_length=max_length)
        assert same(store, PairDataset(pairs, vocabulary, vocabulary, max_length=max_length))
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 4


def test_a_store_that_is_not_finished_leaves_nothing(tmp_path):
    class Broken(InMemoryCorpus):
        def __iter__(self):
            yield from self.pairs
            raise InputError("line 101 is broken")

    with pytest.raises(InputError, match="line 101"):
        open_store(tmp_path, Broken(PAIRS), VOCABULARY, VOCABULARY)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_a_full_disk_is_one_clear_line_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("seq2seq_fast.data.store.encode_blocks", full)
    with pytest.raises(InputError, match=r"cannot be written \(No space left on device\): make room"):
        open_store(tmp_path, InMemoryCorpus(PAIRS), VOCABULARY, VOCABULARY)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_a_damaged_store_is_named(tmp_path):
    open_store(tmp_path, InMemoryCorpus(PAIRS), VOCABULARY, VOCABULARY)
    [folder] = [path for path in tmp_path.iterdir() if path.is_dir()]
    (folder / "pieces.bin").write_bytes(b"cut")
    with pytest.raises(InputError, match=r"no complete store .*pieces\.bin has 3 bytes"):
        open_store(tmp_path, InMemoryCorpus(PAIRS), VOCABULARY, VOCABULARY)


def test_of_several_that_ask_at_once_one_encodes(tmp_path, monkeypatch):
    calls, whole = [], encoding.encode_blocks
    monkeypatch.setattr("seq2seq_fast.data.store.encode_blocks", lambda *a, **k: calls.append(1) or whole(*a, **k))

    def ask():
        open_store(tmp_path, InMemoryCorpus(PAIRS), VOCABULARY, VOCABULARY)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1


def test_a_pickled_store_is_its_folder_and_gives_the_same_batches(tmp_path):
    store = open_store(tmp_path, InMemoryCorpus(PAIRS), VOCABULARY, VOCABULARY, max_length=8)
    data = pickle.dumps(store)
    assert len(data) < 500
    collate = Collate(0, 0)
    for batch in TokenBudgetSampler(store.lengths, 40):
        ours, copied = (collate([one[i] for i in batch]) for one in (store, pickle.loads(data)))
        assert all(a is b or bool((a == b).all()) for a, b in zip(ours, copied, strict=True))
