"""Whole trainings, tiny ones."""

import csv
import gzip
import io
import json
import re
import sys
from pathlib import Path

import pytest
import torch

from seq2seq_fast.data import InputError, read_pairs
from seq2seq_fast.decoding import SearchConfig, Translator
from seq2seq_fast.evaluation import score
from seq2seq_fast.training import run
from seq2seq_fast.training.config import TrainingConfig
from seq2seq_fast.training.module import TranslationModule
from seq2seq_fast.training.run import train
from tests.test_progress import Terminal
from tests.training.corpora import settings, weights, write_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus"))


def metrics(output):
    [path] = sorted(output.glob("training/logs/*/metrics.csv"))[-1:]
    with path.open() as stream:
        return list(csv.DictReader(stream))


def test_a_training_learns_its_sentences_and_its_folder_translates(corpus, tmp_path):
    data = {"validation_source": "train.de", "validation_target": "train.en"}
    result = train(*settings(corpus, tmp_path / "model", data=data, max_steps=190, validate_every=60))
    assert result.folder == tmp_path / "model" and result.steps == 190
    assert {path.name for path in result.folder.iterdir()} == {
        "config.json", "curves.png", "model.safetensors", "source_vocabulary.json", "target_vocabulary.json",
        "training",
    }  # fmt: skip
    pairs = read_pairs(corpus / "train.de", corpus / "train.en")
    found = Translator.load(result.folder).translate([pair.source for pair in pairs], SearchConfig(beam_size=1))
    bleu = score(found, [pair.target for pair in pairs]).bleu
    assert bleu == pytest.approx(result.bleu, abs=0.5) and bleu > 60


def test_the_folder_holds_the_best_validation_not_the_last(corpus, tmp_path, monkeypatch):
    from seq2seq_fast.training import module

    scores = iter([3.0, 9.0, 5.0])
    monkeypatch.setattr(module, "score", lambda *_: type("Scores", (), {"bleu": next(scores)}))
    result = train(*settings(corpus, tmp_path / "model", max_epochs=3))
    assert result.bleu == 9.0
    [best] = (tmp_path / "model/training/checkpoints").glob("*bleu9.00.ckpt")
    state = torch.load(best, weights_only=True)["state_dict"]
    written = Translator.load(tmp_path / "model").model.state_dict()
    assert all(torch.equal(value, state[f"model.{name}"]) for name, value in written.items())
    last, _ = weights(tmp_path / "model")
    assert any(not torch.equal(last[name], state[name]) for name in state)


@pytest.mark.parametrize("kind", ["bpe", "characters"])
def test_a_joint_vocabulary_shares_the_embeddings(corpus, tmp_path, kind):
    train(
        *settings(
            corpus,
            tmp_path / "model",
            vocabulary={"kind": kind, "size": 120, "joint": True},
            model={"share_embeddings": True, "tie_embeddings": True},
            optimization={"accumulate": 2, "optimizer": "adadelta", "learning_rate": 1.0},
        )
    )
    translator = Translator.load(tmp_path / "model")
    assert translator.source_vocabulary is translator.target_vocabulary
    model = translator.model
    assert model.encoder.embedding.weight is model.decoder.embedding.weight is model.decoder.output.weight


def test_a_cache_and_a_dataset_train_the_model_that_files_in_memory_train(corpus, tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")
    (tmp_path / "json").mkdir()
    for split in ("train", "validation"):
        pairs = read_pairs(corpus / f"{split}.de", corpus / f"{split}.en")
        rows = [json.dumps({"translation": {"de": pair.source, "en": pair.target}}) for pair in pairs]
        (tmp_path / f"json/{split}.jsonl").write_text("\n".join(rows))
    cached = {"cache": str(tmp_path / "store"), "workers": 1}
    files = dict.fromkeys(("train_source", "train_target", "validation_source", "validation_target"), "")
    dataset = files | {"dataset": str(tmp_path / "json"), "dataset_streaming": True, "cache": cached["cache"]}
    for name, data in (("memory", {}), ("cache", cached), ("dataset", dataset)):
        train(*settings(corpus, tmp_path / name, data=data, model={"dropout": 0.2}))
    memory, *others = (weights(tmp_path / name)[0] for name in ("memory", "cache", "dataset"))
    assert all(torch.equal(memory[name], other[name]) for other in others for name in memory)
    assert len([path for path in (tmp_path / "store").iterdir() if path.is_dir()]) == 2


def test_files_beside_a_dataset_and_alignments_beside_a_cache_are_refused(corpus, tmp_path):
    with pytest.raises(InputError, match=r"data\.dataset and data\.train_source: name one"):
        train(*settings(corpus, tmp_path / "a", data={"dataset": "x"}))
    alignment = {"data": {"cache": "x", "train_alignment": "y"}, "optimization": {"guided_alignment": 1.0}}
    with pytest.raises(InputError, match=r"does not go with data\.cache"):
        train(*settings(corpus, tmp_path / "a", **alignment))


def test_compressed_files_and_columns_train_the_model_that_plain_files_train(corpus, tmp_path):
    for split in ("train", "validation"):
        sides = [(corpus / f"{split}.{language}").read_text(encoding="utf-8") for language in ("de", "en")]
        rows = zip(*(side.splitlines() for side in sides), strict=True)
        columns = "".join(f"{source}\t{target}\n" for source, target in rows)
        for name, text in zip((f"{split}.de", f"{split}.en", f"{split}.tsv"), (*sides, columns), strict=True):
            (tmp_path / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
    two = {f"{split}_{side}": f"{split}.{code}.gz" for split in ("train", "validation")
           for side, code in (("source", "de"), ("target", "en"))}  # fmt: skip
    tsv = {f"{split}_source": f"{split}.tsv.gz" for split in ("train", "validation")}
    train(*settings(corpus, tmp_path / "plain"))
    for name, data in (("two", two), ("tsv", tsv | dict.fromkeys(("train_target", "validation_target")))):
        train(*settings(tmp_path, tmp_path / name, data=data))
        found, plain = weights(tmp_path / name)[0], weights(tmp_path / "plain")[0]
        assert all(torch.equal(found[key], value) for key, value in plain.items())


def test_the_same_seed_trains_the_same_model_and_another_does_not(corpus, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(*settings(corpus, tmp_path / name, seed=seed, model={"dropout": 0.2}))
    a, b, c = (weights(tmp_path / name)[0] for name in "abc")
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not all(torch.equal(a[name], c[name]) for name in a)


def test_a_training_whose_loss_is_no_number_ends_in_one_line_and_goes_on_with_a_lower_rate(corpus, tmp_path):
    output, high = tmp_path / "model", {"schedule": "constant", "learning_rate": 1e30}
    with pytest.raises(InputError, match=r"the loss is no longer a number at step \d: lower .*learning_rate$"):
        train(*settings(corpus, output, max_steps=40, validate_every=0.5, optimization=high))
    assert not list(output.rglob("*.ckpt")) and not (output / "model.safetensors").exists()
    low = {"schedule": "constant"}
    train(*settings(corpus, output, max_steps=1, optimization=low))
    with pytest.raises(InputError, match=r"step \d: .*rate; --training\.resume=true then goes on from .*last"):
        train(*settings(corpus, output, max_steps=40, resume=True, optimization=high))
    assert train(*settings(corpus, output, max_steps=3, resume=True, optimization=low)).steps == 3


def test_a_time_budget_ends_the_training_with_the_schedule_near_zero(corpus, tmp_path, monkeypatch):
    from lightning.pytorch.callbacks import Timer

    seconds = iter(range(1_000_000))
    monkeypatch.setattr(Timer, "time_elapsed", lambda *_: float(next(seconds)))
    result = train(*settings(corpus, tmp_path / "model", max_minutes=1.0))
    assert 15 <= result.steps <= 30
    state = torch.load(tmp_path / "model/training/checkpoints/last.ckpt", weights_only=True)
    assert state["optimizer_states"][0]["param_groups"][0]["lr"] < 0.01 * 0.01


def test_curves_and_settings_are_written(corpus, tmp_path):
    import yaml

    train(*settings(corpus, tmp_path / "model", max_steps=25, logger="both"))
    rows = metrics(tmp_path / "model")
    assert {"train_loss", "tokens_per_second", "validation_bleu", "validation_loss"} <= set(rows[0])
    assert list(tmp_path.glob("model/training/logs/*/events*"))
    written = yaml.safe_load((tmp_path / "model/training/settings.yaml").read_text())
    assert written["training"]["max_steps"] == 25 and written["model"]["decoder_hidden_size"] == 24


def test_early_stopping_counts_validations_without_a_better_bleu(corpus, tmp_path, monkeypatch):
    from seq2seq_fast.training import module

    scores = iter([5.0, 4.0, 3.0, 2.0, 1.0])
    monkeypatch.setattr(module, "score", lambda *_: type("Scores", (), {"bleu": next(scores)}))
    train(*settings(corpus, tmp_path / "model", max_epochs=5, patience=2))
    assert next(scores) == 2.0


def test_the_best_checkpoints_are_kept_and_no_others(corpus, tmp_path, monkeypatch):
    from seq2seq_fast.training import module

    scores = iter([5.0, 2.0, 7.0, 4.0])
    monkeypatch.setattr(module, "score", lambda *_: type("Scores", (), {"bleu": next(scores)}))
    train(*settings(corpus, tmp_path / "model", max_epochs=4, keep_best=2))
    names = [path.name.partition("-")[2] for path in (tmp_path / "model/training/checkpoints").glob("step*.ckpt")]
    assert sorted(names) == ["bleu5.00.ckpt", "bleu7.00.ckpt"]


def test_background_workers_change_nothing(corpus, tmp_path):
    for workers in (0, 1):
        model = {"dropout": 0.2}
        train(*settings(corpus, tmp_path / str(workers), data={"workers": workers}, model=model, max_epochs=2))
    own, theirs = weights(tmp_path / "0")[0], weights(tmp_path / "1")[0]
    assert all(torch.equal(own[name], theirs[name]) for name in own)


def test_bf16_learns_about_as_float32_does(corpus, tmp_path):
    losses = {}
    for precision in ("32", "bf16"):
        train(*settings(corpus, tmp_path / precision, max_steps=20, precision=precision))
        losses[precision] = [float(row["train_loss"]) for row in metrics(tmp_path / precision) if row["train_loss"]]
        assert all(value.dtype == torch.float32 for value in weights(tmp_path / precision)[0].values())
    assert losses["bf16"] != losses["32"] and losses["bf16"] == pytest.approx(losses["32"], rel=0.05)


@pytest.mark.parametrize(
    ("asked", "device", "gpu", "bf16", "taken"),
    [
        ("auto", "auto", False, False, "32"), ("auto", "auto", True, True, "bf16"), ("auto", "cuda", True, False, "32"),
        ("auto", "cpu", True, True, "32"), ("32", "auto", True, True, "32"), ("bf16", "cpu", False, False, "bf16"),
    ],
)  # fmt: skip
def test_precision_is_that_of_the_device_unless_it_is_named(asked, device, gpu, bf16, taken, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: bf16)
    assert run._precision(TrainingConfig(precision=asked, device=device)) == taken


@pytest.mark.parametrize("tf32", [False, True])
def test_32_bits_are_exact_in_products_and_recurrences_unless_tf32_is_asked_for(corpus, tmp_path, monkeypatch, tf32):
    backends, seen = torch.backends, set()

    def step(self, *arguments):
        seen.add((backends.cuda.matmul.fp32_precision, backends.cudnn.rnn.fp32_precision))
        return training_step(self, *arguments)

    training_step = TranslationModule.training_step
    monkeypatch.setattr(TranslationModule, "training_step", step)
    train(*settings(corpus, tmp_path / "model", max_steps=1, tf32=tf32))
    assert seen == {("tf32", "tf32") if tf32 else ("ieee", "ieee")}


def test_accumulated_batches_make_one_step(corpus, tmp_path):
    epoch = {"max_epochs": 1, "optimization": {"schedule": "constant"}}
    every = train(*settings(corpus, tmp_path / "every", **epoch)).steps
    epoch["optimization"] = epoch["optimization"] | {"accumulate": 3}
    assert train(*settings(corpus, tmp_path / "three", **epoch)).steps == -(-every // 3)


def test_what_is_there_already_is_not_lost(corpus, tmp_path):
    output = tmp_path / "model"
    train(*settings(corpus, output))
    before = (output / "model.safetensors").read_bytes()
    with pytest.raises(InputError, match="already holds a model"):
        train(*settings(corpus, output))
    (output / "model.safetensors").unlink()
    with pytest.raises(InputError, match="already holds an unfinished training"):
        train(*settings(corpus, output))
    (output / "model.safetensors").write_bytes(before)
    with pytest.raises(InputError, match="no such file"):
        train(*settings(corpus, output, overwrite=True, data={"train_source": "missing.de"}))
    assert list((output / "training/checkpoints").glob("*.ckpt")), "a wrong setting cost the earlier training"
    train(*settings(corpus, output, overwrite=True, seed=5))
    assert (output / "model.safetensors").read_bytes() != before


def test_a_folder_that_cannot_be_written_is_named_before_the_work(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr("seq2seq_fast.decoding.model_folder.os.access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(InputError, match=r"deep/model: no permission to write in "):
        train(*settings(corpus, tmp_path / "deep" / "model", data={"train_source": "missing.de"}))


def test_a_training_says_what_it_is_about_to_do_before_it_does_it(corpus, tmp_path, monkeypatch):
    written, said, step = io.BytesIO(), [], TranslationModule.training_step
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written))
    monkeypatch.setattr(
        TranslationModule, "training_step", lambda *given: said.append(written.getvalue().decode()) or step(*given)
    )
    train(*settings(corpus, tmp_path / "model", max_steps=1, progress=False))
    words = said[0].rstrip("\n")
    assert re.fullmatch(
        r"[\d,]+ training pairs \(0 left out\), 12 validation pairs \(0 left out\); [\d,]+ source and [\d,]+ target "
        r"vocabulary entries; [\d,]+ parameters; [\d,]+ batches an epoch",
        words,
    ), words


def test_what_comes_before_the_training_has_a_bar_on_a_terminal(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    train(*settings(corpus, tmp_path / "model", max_steps=1, progress=True))
    said = sys.stderr.getvalue()
    assert all(f"{what}:" in said for what in ("read for the vocabulary", "build the vocabulary", "tokenise"))


def test_a_device_that_is_not_there_is_named(corpus, tmp_path, monkeypatch):
    from lightning.pytorch.accelerators import CUDAAccelerator

    monkeypatch.setattr(CUDAAccelerator, "is_available", staticmethod(lambda: False))
    with pytest.raises(InputError, match=r"training\.device cuda: .*not available"):
        train(*settings(corpus, tmp_path / "model", device="cuda"))
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": {"train_source": "missing.de"}}, r"missing\.de: no such file"),
        ({"data": {"train_target": "validation.en"}}, "has 60 lines but .* has 12"),
        ({"data": {"validation_source": ""}}, r"data\.validation_source is missing"),
        ({"data": {"max_length": 1}}, r"train\.de and .*train\.en: no training pair has 1 to 1 pieces"),
        ({"data": {"train_source": "blank"}}, r"blank and .*train\.en: has only empty source lines"),
        ({"model": {"cell": "mlp"}}, "model: cell must be one of"),
        ({"model": {"share_embeddings": True}}, r"vocabulary\.joint"),
        (
            {"vocabulary": {"kind": "bpe", "size": 99_999_999_999}},
            r"vocabulary\.size must be a number of at most 32 bits",
        ),
        ({"vocabulary": {"joint": True, "target": "x"}}, r"vocabulary\.source alone"),
        ({"resume": True}, "no checkpoint to resume"),
    ],
)
def test_what_cannot_be_used_is_said_before_anything_is_written(corpus, tmp_path, change, message):
    (corpus / "blank").write_text("\n" * 60)
    with pytest.raises(InputError, match=message):
        train(*settings(corpus, tmp_path / "model", **change))
    assert not (tmp_path / "model").exists()


def test_without_a_terminal_a_training_gives_a_line_now_and_then(corpus, tmp_path, capfd, monkeypatch):
    from seq2seq_fast.training import callbacks

    seconds = iter(range(0, 100_000, 25))
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: float(next(seconds)))
    train(*settings(corpus, tmp_path / "model", max_steps=7, validate_every=2, progress=True))
    out, err = capfd.readouterr()
    assert "\r" not in out + err
    lines = [line for line in err.splitlines() if "tokens/s" in line]
    assert 1 <= len(lines) <= 4
    assert all(
        re.fullmatch(r"epoch \d, batch \d of \d+: train loss \d\.\d{3}, [\d,]+ tokens/s", line) for line in lines
    )
