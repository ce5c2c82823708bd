"""Pairs from files and datasets, one at a time."""

import json

import pytest

from seq2seq_fast.data import DatasetCorpus, InMemoryCorpus, InputError, SentencePair, TextCorpus, sample

PAIRS = [SentencePair(f"ja {i}", f"yes {i}") for i in range(12)]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


def write_json(folder, pairs=PAIRS):
    folder.mkdir(exist_ok=True)
    rows = [{"id": i, "translation": {"de": pair.source, "en": pair.target}} for i, pair in enumerate(pairs)]
    (folder / "train.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return str(folder)


def write_disk(folder):
    import datasets

    rows = [{"translation": {"de": pair.source, "en": pair.target}} for pair in PAIRS]
    features = datasets.Features({"translation": datasets.Translation(languages=["de", "en"])})
    splits = datasets.DatasetDict({"train": datasets.Dataset.from_list(rows, features=features)})
    splits.save_to_disk(str(folder))
    return str(folder)


def test_files_are_read_anew_each_time_and_their_content_is_the_fingerprint(tmp_path):
    for name, side in (("a.de", 0), ("a.en", 1), ("b.de", 0), ("b.en", 1)):
        (tmp_path / name).write_text("".join(f"{pair[side]}\n" for pair in PAIRS))
    a, b = (TextCorpus(tmp_path / f"{name}.de", tmp_path / f"{name}.en") for name in "ab")
    assert list(a) == list(a) == PAIRS and a.fingerprint() == b.fingerprint()
    (tmp_path / "b.en").write_text("".join(f"{pair.target}!\n" for pair in PAIRS))
    assert a.fingerprint() != b.fingerprint()


@pytest.mark.parametrize("streaming", [False, True])
def test_a_folder_of_files_with_translations_is_a_dataset(tmp_path, streaming):
    corpus = DatasetCorpus(write_json(tmp_path / "json"), "train", streaming=streaming)
    assert list(corpus) == list(corpus) == PAIRS
    turned = DatasetCorpus(write_json(tmp_path / "json"), "train", source="en", target="de", streaming=streaming)
    assert next(iter(turned)) == SentencePair("yes 0", "ja 0")
    assert turned.fingerprint() != corpus.fingerprint()
    half = DatasetCorpus(write_json(tmp_path / "json"), "train", source="en", streaming=streaming)
    assert next(iter(half)) == SentencePair("yes 0", "ja 0")


def test_a_dataset_whose_files_change_has_another_fingerprint(tmp_path):
    before = DatasetCorpus(write_json(tmp_path / "json"), "train").fingerprint()
    changed = DatasetCorpus(write_json(tmp_path / "json", PAIRS[:5]), "train")
    assert changed.fingerprint() != before and list(changed) == PAIRS[:5]


def test_a_saved_dataset_and_two_columns_of_text_are_read(tmp_path):
    assert list(DatasetCorpus(write_disk(tmp_path / "disk"), "train")) == PAIRS
    (tmp_path / "csv").mkdir()
    (tmp_path / "csv/train.csv").write_text("question,answer\nwho?,me\n")
    corpus = DatasetCorpus(str(tmp_path / "csv"), "train", source="question", target="answer")
    assert list(corpus) == [SentencePair("who?", "me")]


def test_what_a_dataset_lacks_is_named_in_one_line(tmp_path):
    folder, saved = write_json(tmp_path / "json"), write_disk(tmp_path / "disk")
    for corpus, wanted in (
        (DatasetCorpus(folder, "train", source="fr"), r"translation \(de/en\)"),
        (DatasetCorpus(folder, "dev"), "dev"),
        (DatasetCorpus(saved, "dev"), "splits train"),
        (DatasetCorpus(str(tmp_path / "missing"), "train"), "missing"),
    ):
        with pytest.raises(InputError, match=wanted) as caught:
            list(corpus)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("streaming", [False, True])
def test_a_file_that_is_no_dataset_is_named_in_one_line(tmp_path, streaming):
    folder = write_json(tmp_path / "json")
    (tmp_path / "json/train.jsonl").write_text('{"translation": {"de": "halb', encoding="utf-8")
    with pytest.raises(InputError, match=r"^dataset .*json, split train: cannot be loaded \([^\n]+\)$"):
        list(DatasetCorpus(folder, "train", streaming=streaming))


def test_a_sample_is_all_of_a_small_corpus_and_evenly_drawn_from_a_large_one():
    assert sample(InMemoryCorpus(PAIRS), 12, 0) == PAIRS
    counts = dict.fromkeys(PAIRS, 0)
    for seed in range(600):
        drawn = sample(PAIRS, 4, seed)
        assert len(set(drawn)) == 4
        for pair in drawn:
            counts[pair] += 1
    assert all(140 < count < 260 for count in counts.values())
