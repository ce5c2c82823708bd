"""Model folders."""

import json

import pytest
import torch

from seq2seq_fast.data import InputError, build_vocabulary, load_vocabulary
from seq2seq_fast.decoding import load_model_folder, model_folder, save_model_folder
from seq2seq_fast.nn import Seq2Seq, Seq2SeqConfig

LINES = ["ein kleiner Hund", "a small dog", "zwei große Hunde", "two big dogs"] * 4
SIZES = {"source_size": 4, "target_size": 4, "encoder_hidden_size": 4, "decoder_hidden_size": 4}


def parts(joint=True, kind="words", **settings):
    source = build_vocabulary(LINES, kind, 40)
    target = source if joint else build_vocabulary(LINES[1:2], "characters", 30)
    model = Seq2Seq(Seq2SeqConfig(len(target), len(source), **SIZES, **settings)).eval()
    return model, source, target


@pytest.mark.parametrize("joint", [True, False])
def test_what_was_saved_loads_again(tmp_path, joint):
    model, source, target = parts(joint, tie_embeddings=True, share_embeddings=joint)
    folder = save_model_folder(tmp_path / "a/model", model, source, target)
    loaded, loaded_source, loaded_target = load_model_folder(folder)
    assert not loaded.training and loaded.config == model.config
    for name, value in model.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[name])
    assert (loaded_source is loaded_target) == joint
    assert loaded_source.encode(LINES[0]) == source.encode(LINES[0])
    assert loaded_target.encode(LINES[1]) == target.encode(LINES[1])


def test_saving_leaves_other_files_and_nothing_partial(tmp_path):
    (tmp_path / "README.md").write_text("mine")
    model, source, target = parts()
    for _ in range(2):
        save_model_folder(tmp_path, model, source, target)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"README.md", "config.json", "model.safetensors", "vocabulary.json"}
    assert (tmp_path / "README.md").read_text() == "mine"


def test_a_failed_save_leaves_the_old_model(tmp_path, monkeypatch):
    model, source, target = parts()
    save_model_folder(tmp_path, model, source, target)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr(type(source), "save", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(InputError, match=r"cannot be written \(No space left on device\): make room"):
        save_model_folder(tmp_path, parts()[0], source, target)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_a_killed_save_has_left_goes_with_the_next(tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    model, source, target = parts()
    with monkeypatch.context() as patched:
        # Nothing of a killed process runs on, not what would clear up either.
        patched.setattr(type(source), "save", lambda *_: (_ for _ in ()).throw(Killed))
        patched.setattr(model_folder.shutil, "rmtree", lambda *_, **__: None)
        with pytest.raises(Killed):
            save_model_folder(tmp_path / "model", model, source, target)
    assert list((tmp_path / "model").iterdir())
    save_model_folder(tmp_path / "model", model, source, target)
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert names == {"config.json", "model.safetensors", "vocabulary.json"}


def test_the_hub_loader_reads_the_same_folder(tmp_path):
    model, source, target = parts()
    save_model_folder(tmp_path, model, source, target)
    loaded = Seq2Seq.from_pretrained(tmp_path)
    assert torch.equal(loaded.encoder.embedding.weight, model.encoder.embedding.weight)


def break_config(folder):
    value = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(value | {"decoder_hidden_size": 5}))


def equally_large_vocabulary(folder):
    words = " ".join(f"w{number}" for number in range(40))
    count = len(load_vocabulary(folder / "vocabulary"))
    build_vocabulary([words], "words", count).save(folder / "vocabulary")


def other_vocabulary(folder):
    build_vocabulary(["something else"], "words", 10).save(folder / "vocabulary")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), "config.json is not there"),
        (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors is not there"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"x" * 100), "cannot be loaded"),
        (lambda folder: (folder / "config.json").write_text("{"), "cannot be loaded"),
        (break_config, "cannot be loaded"),
        (lambda folder: (folder / "vocabulary.json").unlink(), "no vocabulary"),
        (other_vocabulary, "come from another model"),
        (equally_large_vocabulary, "a vocabulary is not the one of this training"),
    ],
)
def test_a_folder_that_cannot_be_used_is_named_in_one_line(tmp_path, damage, message):
    save_model_folder(tmp_path, *parts())
    damage(tmp_path)
    with pytest.raises(InputError, match=message) as caught:
        load_model_folder(tmp_path)
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(InputError, match="nowhere: no such model folder"):
        load_model_folder(tmp_path / "nowhere")


def test_of_a_checkpoint_it_is_said_what_makes_it_a_model_folder(tmp_path):
    (tmp_path / "last.ckpt").touch()
    with pytest.raises(InputError, match=r"is a checkpoint: .* seq2seq-fast average .*last\.ckpt --output FOLDER"):
        load_model_folder(tmp_path / "last.ckpt")


@pytest.mark.parametrize("joint", [True, False])
def test_vocabularies_of_an_earlier_model_in_the_folder_are_gone(tmp_path, joint):
    save_model_folder(tmp_path, *parts(joint=not joint))
    model, source, target = parts(joint)
    save_model_folder(tmp_path, model, source, target)
    _, loaded_source, loaded_target = load_model_folder(tmp_path)
    assert (loaded_source is loaded_target) == joint
    assert (len(loaded_source), len(loaded_target)) == (len(source), len(target))
