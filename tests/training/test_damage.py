"""A changed byte of what a training has written is one line, of unchanged size too."""

import json
import shutil

import numpy as np
import pytest
import torch

from seq2seq_fast.data import InputError, build_vocabulary
from seq2seq_fast.decoding import load_model_folder, model_folder
from seq2seq_fast.nn import Seq2Seq, Seq2SeqConfig
from seq2seq_fast.training.run import train
from tests.training.corpora import settings, write_corpus


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    corpus = write_corpus(tmp_path_factory.mktemp("corpus"), train=40, validation=4)
    output, cache = tmp_path_factory.mktemp("trained") / "m", tmp_path_factory.mktemp("cache") / "c"
    train(*settings(corpus, output, max_steps=2, data={"cache": str(cache)}))
    return corpus, output, cache


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 4
    path.write_bytes(content)


def test_every_part_of_the_weights_is_looked_at(trained, tmp_path):
    shutil.copytree(trained[1], tmp_path / "m")
    file = tmp_path / "m/model.safetensors"
    whole = file.read_bytes()
    begin = 8 + int.from_bytes(whole[:8], "little")
    for place in (begin, begin + (len(whole) - begin) // 2, len(whole) - 1):
        flip(file, place)
        with pytest.raises(InputError, match=r"model\.safetensors is damaged: its checksum is another: bring it back"):
            load_model_folder(tmp_path / "m")
        with pytest.raises(ValueError, match=r"model\.safetensors is damaged"):
            Seq2Seq.from_pretrained(tmp_path / "m")
        file.write_bytes(whole)
    load_model_folder(tmp_path / "m")
    Seq2Seq.from_pretrained(tmp_path / "m")


def test_a_setting_of_a_model_that_has_changed_is_damage_and_its_layout_is_not(trained, tmp_path):
    shutil.copytree(trained[1], tmp_path / "m")
    file = tmp_path / "m/config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps(config))
    load_model_folder(tmp_path / "m")
    file.write_text(json.dumps(config | {"dropout": 0.25, "attention": "additive"}))
    for load, error in ((load_model_folder, InputError), (Seq2Seq.from_pretrained, ValueError)):
        with pytest.raises(error, match=r"config\.json is damaged: its checksum is another: bring it back"):
            load(tmp_path / "m")


@pytest.mark.parametrize("kind", ["words", "bpe"])
def test_a_damaged_vocabulary_is_one_line_wherever_its_damage_is(trained, tmp_path, kind):
    vocabulary = build_vocabulary(["ein kleiner Hund", "zwei gro\u00dfe Hunde"] * 4, kind, 40)
    sizes = {"source_size": 4, "target_size": 4, "encoder_hidden_size": 4, "decoder_hidden_size": 4}
    model = Seq2Seq(Seq2SeqConfig(len(vocabulary), len(vocabulary), **sizes))
    model_folder.save_model_folder(tmp_path, model, vocabulary, vocabulary)
    [file] = tmp_path.glob("vocabulary.*")
    whole = file.read_bytes()
    for place in range(0, len(whole), max(1, len(whole) // 150)):
        for bit in (0, 7):
            content = bytearray(whole)
            content[place] ^= 1 << bit
            file.write_bytes(content)
            with pytest.raises(InputError, match="vocabular") as caught:
                load_model_folder(tmp_path)
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize("part", ["/data/0", "/data/5", "data.pkl"])
def test_a_damaged_checkpoint_is_refused(trained, tmp_path, part):
    import zipfile

    corpus, output, _ = trained
    shutil.copytree(output, tmp_path / "m")
    last = tmp_path / "m/training/checkpoints/last.ckpt"
    with zipfile.ZipFile(last) as archive:
        info = next(info for info in archive.infolist() if info.filename.endswith(part))
    flip(last, info.header_offset + 30 + len(info.filename) + 128 + info.file_size // 2)
    with pytest.raises(InputError, match="not a complete checkpoint"):
        train(*settings(corpus, tmp_path / "m", max_steps=3, resume=True))


def test_swapped_tokens_of_a_vocabulary_are_refused_on_resume(trained, tmp_path):
    corpus, output, _ = trained
    shutil.copytree(output, tmp_path / "m")
    file = tmp_path / "m/training/target_vocabulary.json"
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    lines[8], lines[9] = lines[9], lines[8]
    file.write_text("".join(lines), encoding="utf-8")
    with pytest.raises(InputError, match="a vocabulary is not the one of this training"):
        train(*settings(corpus, tmp_path / "m", max_steps=3, resume=True))


@pytest.mark.parametrize("name", ["pieces", "lengths", "ends", "numbers"])
def test_a_damaged_cache_is_refused(trained, tmp_path, name):
    corpus, _, cache = trained
    shutil.copytree(cache, tmp_path / "c")
    [file] = (tmp_path / "c").glob(f"*/{name}.bin")
    flip(file, file.stat().st_size // 2)
    with pytest.raises(InputError, match=rf"no complete store of sentence pairs \({name}\.bin is damaged\); delete it"):
        train(*settings(corpus, tmp_path / "m", data={"cache": str(tmp_path / "c")}))


def test_a_damaged_description_of_a_cache_is_refused(trained, tmp_path):
    corpus, _, cache = trained
    shutil.copytree(cache, tmp_path / "c")
    [file] = (tmp_path / "c").glob("*/about.json")
    known = json.loads(file.read_text())
    file.write_text(json.dumps(known | {"left_out": known["left_out"] + 1}))
    with pytest.raises(InputError, match=r"no complete store of sentence pairs \(about\.json is damaged\); delete it"):
        train(*settings(corpus, tmp_path / "m", data={"cache": str(tmp_path / "c")}))


@pytest.mark.parametrize("name", ["pieces", "numbers"])
def test_a_cache_that_is_cut_while_it_is_read_is_one_line(trained, tmp_path, name):
    from seq2seq_fast.data import PairStore

    shutil.copytree(trained[2], tmp_path / "c")
    [file] = (tmp_path / "c").glob(f"*/{name}.bin")
    store = PairStore(file.parent)
    assert store[3].source
    file.write_bytes(b"")
    with pytest.raises(InputError, match=rf"{name}\.bin: was cut or changed while it was read"):
        store[3]


def test_lengths_that_are_cut_before_batches_are_planned_are_one_line(trained, tmp_path):
    from seq2seq_fast.data import PairStore, TokenBudgetSampler

    shutil.copytree(trained[2], tmp_path / "c")
    [file] = (tmp_path / "c").glob("*/lengths.bin")
    store = PairStore(file.parent)
    sampler = TokenBudgetSampler(store.lengths, 100)
    assert list(sampler)
    file.write_bytes(b"")
    for plan in (
        list,
        len,
        lambda _: TokenBudgetSampler(store.lengths, 100),
        lambda _: np.ascontiguousarray(store.lengths),
    ):
        sampler.set_epoch(1)
        with pytest.raises(InputError, match=r"lengths\.bin: was cut or changed while it was read"):
            plan(sampler)


def test_a_model_replaced_by_another_shape_loads_wherever_the_process_was_killed(trained, tmp_path, monkeypatch):
    _, output, _ = trained
    source = target = build_vocabulary(["a b c d e"], "characters", 30)
    sizes = {"source_size": 4, "target_size": 4, "encoder_hidden_size": 4, "decoder_hidden_size": 4}
    other = Seq2Seq(Seq2SeqConfig(len(target), len(source), **sizes))
    old = load_model_folder(output)[0].config
    replace, whole_file, calls = model_folder.replace, model_folder.whole_file, []
    limit = 0

    class Killed(BaseException):
        pass

    def counted(original):
        def call(*arguments):
            if len(calls) == limit:
                raise Killed
            calls.append(arguments)
            return original(*arguments)

        return call

    monkeypatch.setattr(model_folder, "replace", counted(replace))
    monkeypatch.setattr(model_folder, "whole_file", counted(whole_file))
    for limit in range(9):
        folder = tmp_path / str(limit)
        shutil.copytree(output, folder, ignore=shutil.ignore_patterns("training"))
        calls.clear()
        try:
            model_folder.save_model_folder(folder, other, source, target)
            ended = True
        except Killed:
            ended = False
        for found in (load_model_folder(folder)[0], Seq2Seq.from_pretrained(folder)):
            assert found.config == (old if limit == 0 else other.config)
            if limit:
                wanted = other.state_dict()
                assert all(torch.equal(value, wanted[name]) for name, value in found.state_dict().items())
    assert ended


def test_long_lines_and_reserved_signs_keep_their_letters_for_the_vocabulary():
    long = [("word " * 900) + "\u017elu\u0165ou\u010dk\u00fd", "\u56fe" * 3000 + "\u753b"]
    text = ["a short line of text"] * 50 + long + ["\u2585 \u00e5"]
    vocabulary = build_vocabulary(text, "bpe", 100)
    for letter in "\u017e\u0165\u010d\u00fd\u00e5\u56fe\u753b":
        assert vocabulary.unknown_id not in vocabulary.encode(letter), letter
    assert len(build_vocabulary([("word " * 900) + "\u017e"] * 5, "bpe", 100)) > 4
