"""Each setting of a training that goes on: it takes effect, or it is refused."""

import math
import shutil
from dataclasses import fields

import pytest
import torch
import yaml

from seq2seq_fast.data import InputError, pharaoh_line
from seq2seq_fast.data.grammar import embedded_corpus
from seq2seq_fast.nn import Seq2SeqConfig
from seq2seq_fast.training import (
    DataConfig,
    EvaluationConfig,
    OptimizationConfig,
    TeacherForcingConfig,
    TrainingConfig,
    VocabularyConfig,
)
from seq2seq_fast.training.run import train
from tests.training.corpora import settings, write_corpus

GROUPS = {
    "data": DataConfig, "vocabulary": VocabularyConfig, "optimization": OptimizationConfig,
    "teacher_forcing": TeacherForcingConfig, "evaluation": EvaluationConfig, "training": TrainingConfig,
}  # fmt: skip
REFUSED = {
    "vocabulary.kind": "characters", "vocabulary.size": 300, "vocabulary.joint": True, "vocabulary.source": "x",
    "vocabulary.target": "x", "vocabulary.sentences": 50, "optimization.optimizer": "adadelta",
    "model.source_size": 8, "model.target_size": 8, "model.encoder_hidden_size": 8, "model.decoder_hidden_size": 8,
    "model.encoder_layers": 2, "model.decoder_layers": 2, "model.bidirectional": False, "model.cell": "lstm",
    "model.reset_after": False, "model.layer_norm": True, "model.attention": None, "model.attention_size": 8,
    "model.attention_history": "coverage", "model.location_filters": 3, "model.location_width": 3,
    "model.attention_position": "after", "model.conditional": True, "model.input_feeding": False,
    "model.readout": "tanh", "model.readout_size": 8, "model.tie_embeddings": True, "model.residual": True,
}  # fmt: skip
# Those that make another training of the same model. Beside the value stands what they need to matter.
OTHER_WEIGHTS = {
    "data.train_source": ("other.de", {"data": {"train_target": "other.en"}}),
    "data.train_target": ("other.en", {"data": {"train_source": "other.de"}}),
    "data.train_alignment": ("train.align", {"optimization": {"guided_alignment": 0.5}, "model": {}}),
    "data.alignment_words": (
        "signs",
        {"data": {"train_alignment": "signs.align"}, "optimization": {"guided_alignment": 0.5}},
    ),
    "data.max_length": (7, {}),
    "data.batch_tokens": (60, {}),
    "data.pool_batches": (1, {"data": {"batch_tokens": 60}}),
    "optimization.learning_rate": (0.02, {}),
    "optimization.weight_decay": (0.5, {}),
    "optimization.schedule": ("inverse_sqrt", {}),
    "optimization.warmup_steps": (200, {}),
    "optimization.gradient_clip": (1e-9, {}),
    "optimization.label_smoothing": (0.3, {}),
    "optimization.accumulate": (2, {"data": {"batch_tokens": 60}}),
    "optimization.guided_alignment": (0.5, {"data": {"train_alignment": "train.align"}}),
    "teacher_forcing.ratio": (0.0, {}),
    "teacher_forcing.decay": ("linear", {"teacher_forcing": {"decay_rate": 0.5}}),
    "teacher_forcing.decay_rate": (0.4, {"teacher_forcing": {"decay": "linear"}}),
    "teacher_forcing.least": (0.2, {"teacher_forcing": {"decay": "linear", "decay_rate": 1.0}}),
    "teacher_forcing.form": ("sequential", {"teacher_forcing": {"ratio": 0.1}}),
    "teacher_forcing.passes": (4, {"teacher_forcing": {"ratio": 0.1}}),
    "teacher_forcing.prediction": ("sample", {"teacher_forcing": {"ratio": 0.1}}),
    "model.dropout": (0.5, {}),
    "model.embedding_dropout": (0.5, {}),
    "model.recurrent_dropout": (0.5, {}),
    "model.variational": (True, {"model": {"dropout": 0.5}}),
    "training.max_steps": (9, {"optimization": {"schedule": "cosine"}}),
    "training.max_epochs": (20, {"optimization": {"schedule": "cosine"}, "training": {"max_steps": None}}),
    "training.max_minutes": (0.05, {"optimization": {"schedule": "cosine"}, "training": {"max_steps": None}}),
    "training.precision": ("bf16", {}),
    "training.seed": (7, {"model": {"dropout": 0.2}}),
}
# Tested by what else they change, each in a test of its own.
OTHERS = {
    "data.validation_source", "data.validation_target", "data.folder", "data.cache", "data.workers",
    "evaluation.tokenize", "training.output", "training.validate_every", "training.patience", "training.average",
    "training.keep_best", "training.keep_last", "training.average_checkpoints", "training.average_of",
    "training.average_always", "training.logger", "training.progress",
}  # fmt: skip
# Where the pairs come from is a way to name the data; the machine's devices need devices; the rest is what resumes.
ELSEWHERE = {
    "data.dataset", "data.dataset_config", "data.dataset_streaming", "data.train_split", "data.validation_split",
    "data.source_language", "data.target_language", "training.device", "training.devices", "training.nodes",
    "training.tf32",
    "training.resume", "training.overwrite", "model.share_embeddings",
}  # fmt: skip
BEGAN = {"optimization": {"schedule": "constant", "warmup_steps": 1}, "keep_best": 3, "keep_last": 3}


def test_every_setting_is_in_one_of_the_lists():
    found = {f"{group}.{field.name}" for group, kind in GROUPS.items() for field in fields(kind)}
    sizes = {"source_vocabulary_size", "target_vocabulary_size"}
    found |= {f"model.{field.name}" for field in fields(Seq2SeqConfig) if field.name not in sizes}
    lists = [REFUSED, OTHER_WEIGHTS, OTHERS, ELSEWHERE]
    assert sum(map(len, lists)) == len(set().union(*lists)) and set().union(*lists) == found


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = write_corpus(tmp_path_factory.mktemp("corpus"), train=40, validation=6)
    other = write_corpus(tmp_path_factory.mktemp("other"), train=55, validation=6)
    for language in ("de", "en"):
        lines = (other / f"train.{language}").read_text(encoding="utf-8").splitlines(keepends=True)
        (folder / f"other.{language}").write_text("".join(lines[:15]), encoding="utf-8")
    lines = [pharaoh_line(pair.alignment) for pair in embedded_corpus(size=40, max_words=8)]
    (folder / "signs.align").write_text("".join(f"{line}\n" for line in lines))
    (folder / "train.align").write_text("0-0\n" * 40)
    return folder


@pytest.fixture(scope="module")
def began(corpus, tmp_path_factory):
    output = tmp_path_factory.mktemp("began") / "model"
    train(*settings(corpus, output, max_steps=3, validate_every=0.5, **BEGAN))
    return output


def go_on(corpus, began, output, **changes):
    """Resume a copy of the training with these settings, and return the result."""
    if not output.exists():
        shutil.copytree(began, output)
    groups = {name: changes.pop(name, {}) for name in ("data", "vocabulary", "model", "teacher_forcing", "evaluation")}
    optimization = BEGAN["optimization"] | changes.pop("optimization", {})
    training = {"max_steps": 5, "keep_best": 3, "keep_last": 3, "resume": True} | changes.pop("training", {}) | changes
    data, vocabulary, model, optimization, training = settings(
        corpus, output, data=groups["data"], vocabulary=groups["vocabulary"], model=groups["model"],
        optimization=optimization, **training,
    )  # fmt: skip
    forcing, evaluation = TeacherForcingConfig(**groups["teacher_forcing"]), EvaluationConfig(**groups["evaluation"])
    return train(data, vocabulary, model, optimization, training, forcing, evaluation)


@pytest.fixture(scope="module")
def without(corpus, began, tmp_path_factory):
    """Return the weights of the training that goes on with these settings, which are trained once."""
    found = {}

    def weights(others):
        if str(others) not in found:
            output = tmp_path_factory.mktemp("without") / "m"
            go_on(corpus, began, output, **others)
            found[str(others)] = last(output)["state_dict"]
        return found[str(others)]

    return weights


@pytest.fixture(autouse=True, scope="module")
def undrawn():
    """Leave out the picture at the end of each training, which takes longer than its steps."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("seq2seq_fast.training.curves.draw_training", lambda *_: None)
        yield


def last(output):
    return torch.load(output / "training/checkpoints/last.ckpt", weights_only=True)


def joined(setting, value, others):
    """Return the groups of settings, with one more setting."""
    group, name = setting.split(".")
    groups = {key: dict(settings) for key, settings in others.items()}
    groups.setdefault(group, {})[name] = value
    return groups


@pytest.mark.parametrize("setting", REFUSED)
def test_what_the_training_is_of_is_refused_before_anything_is_lost(corpus, began, setting):
    before = (began / "training/checkpoints/last.ckpt").read_bytes()
    with pytest.raises(InputError, match=rf"settings\.yaml: this training began with {setting} .*: resume with that"):
        go_on(corpus, None, began, **joined(setting, REFUSED[setting], {}))
    assert (began / "training/checkpoints/last.ckpt").read_bytes() == before


@pytest.mark.parametrize("setting", OTHER_WEIGHTS)
def test_what_trains_otherwise_takes_effect(corpus, began, without, tmp_path, setting):
    value, others = OTHER_WEIGHTS[setting]
    go_on(corpus, began, tmp_path / "with", **joined(setting, value, others))
    if setting in ("data.train_source", "data.train_target", "data.train_alignment"):
        others = {}  # neither of a pair of files goes without the other
    elif setting == "optimization.guided_alignment":
        others = {}
    elif setting == "data.alignment_words":
        others = others | {"data": {"train_alignment": "train.align"}}
    elif setting.startswith("teacher_forcing.decay"):
        others = {}
    ours, theirs, old = last(tmp_path / "with")["state_dict"], without(others), last(began)["state_dict"]
    assert any(not torch.equal(ours[name], value) for name, value in theirs.items()), "the setting changed nothing"
    assert any(not torch.equal(ours[name], value) for name, value in old.items()), "nothing was trained"


def kept(output, pattern):
    return len(list((output / "training/checkpoints").glob(pattern)))


def test_fewer_checkpoints_are_kept_at_once_and_more_from_then_on(corpus, began, tmp_path):
    go_on(corpus, began, tmp_path / "m", keep_best=1, keep_last=0, max_steps=4)
    assert (kept(tmp_path / "m", "step*"), kept(tmp_path / "m", "recent*")) == (1, 0)
    go_on(corpus, None, tmp_path / "m", keep_best=2, keep_last=1, max_steps=8, validate_every=0.5)
    assert (kept(tmp_path / "m", "step*"), kept(tmp_path / "m", "recent*")) == (2, 1)


def test_a_training_that_had_ended_lets_go_of_checkpoints_too(corpus, began, tmp_path):
    go_on(corpus, began, tmp_path / "m", keep_best=1, keep_last=2, max_steps=3)
    assert (kept(tmp_path / "m", "step*"), kept(tmp_path / "m", "recent*")) == (1, 2)


def test_the_average_of_checkpoints_is_taken_of_those_now_asked_for(corpus, began, tmp_path, capsys):
    go_on(corpus, began, tmp_path / "a", average_checkpoints=2, average_always=True)
    assert "the average of 2 checkpoints" in (told := capsys.readouterr().err) and "the average is taken" in told
    go_on(corpus, began, tmp_path / "b", average_checkpoints=3, average_always=True, average_of="last")
    assert "the average of 3 checkpoints" in capsys.readouterr().err
    models = [(tmp_path / name / "model.safetensors").read_bytes() for name in "ab"]
    assert models[0] != models[1]


@pytest.mark.parametrize("began_with", [0.0, 0.9])
def test_a_running_average_begins_and_ends(corpus, tmp_path, began_with, capsys):
    output = tmp_path / "m"
    train(*settings(corpus, output, max_steps=2, average=began_with, **BEGAN))
    go_on(corpus, None, output, average=0.9 - began_with)
    assert ("WeightAverage" in last(output)["callbacks"]) is (began_with == 0.0)
    assert "warning" not in capsys.readouterr().err.lower().replace("seq2seq-fast: warning: bleu was 0", "")


def test_validations_and_patience_are_those_now_given(corpus, began, tmp_path, monkeypatch):
    from seq2seq_fast.training import module

    scores = iter([9.0, *range(8, 0, -1)])
    monkeypatch.setattr(module, "score", lambda *_: type("Scores", (), {"bleu": float(next(scores))}))
    result = go_on(corpus, began, tmp_path / "m", validate_every=1 / 3, patience=3, max_steps=50)
    points = [step for step, _ in last(tmp_path / "m")["callbacks"]["Curves"]["points"]["validation_loss"] if step > 3]
    assert len(points) == 4 and result.steps == points[-1] < 10
    scores = iter(range(8, 0, -1))
    again = go_on(corpus, None, tmp_path / "m", validate_every=1 / 3, patience=5, max_steps=50)
    assert again.steps > result.steps, "two validations more are waited for"
    assert go_on(corpus, None, tmp_path / "m", validate_every=1 / 3, patience=4, max_steps=50).steps == again.steps


def test_figures_of_other_pairs_or_another_tokenizer_are_not_compared(corpus, began, tmp_path, monkeypatch):
    from seq2seq_fast.training import module

    best = began / "training/checkpoints"
    assert list(best.glob("step*")), "there are some to compare with"
    for place, change in enumerate((
        {"data": {"validation_source": "other.de", "validation_target": "other.en"}},
        {"evaluation": {"tokenize": "char"}},
    )):  # fmt: skip
        output = tmp_path / str(place)
        monkeypatch.setattr(module, "score", lambda *_: type("Scores", (), {"bleu": 1e-3}))
        go_on(corpus, began, output, keep_best=1, **change)
        [file] = (output / "training/checkpoints").glob("step*")
        assert file.name.startswith("step5-") or file.name.startswith("step4-"), "the best of the new figures"


def test_the_rest_of_what_may_change(corpus, began, tmp_path, capsys):
    moved = tmp_path / "moved"
    shutil.copytree(corpus, moved)
    data = {"cache": str(tmp_path / "cache"), "workers": 1}
    result = go_on(moved, began, tmp_path / "m", data=data, logger="both", progress=True)
    assert result.folder == tmp_path / "m" and any((tmp_path / "cache").iterdir())
    assert list((tmp_path / "m").glob("training/logs/*/events*"))
    wrote = yaml.safe_load((tmp_path / "m/training/settings.yaml").read_text(encoding="utf-8"))
    assert (wrote["data"]["folder"], wrote["data"]["workers"], wrote["training"]["progress"]) == (str(moved), 1, True)
    go_on(corpus, began, tmp_path / "n")
    ours, theirs = (last(tmp_path / name)["state_dict"] for name in "mn")
    assert all(torch.equal(ours[name], value) for name, value in theirs.items()), "where the data is changes nothing"


@pytest.mark.parametrize(
    "change",
    [
        {"data": {"train_source": "other.de", "train_target": "other.en"}},
        {"data": {"batch_tokens": 100_000}},
        {"data": {"batch_tokens": 100_000}, "optimization": {"accumulate": 4, "schedule": "cosine"}},
        {"data": {"max_length": 6}},
    ],
    ids=["fewer pairs", "larger batches", "more batches a step", "shorter pairs"],
)
@pytest.mark.parametrize("stopped", [{"max_epochs": 2}, {"max_steps": 2}], ids=["between epochs", "within an epoch"])
def test_a_training_goes_on_with_other_batches_as_its_epochs_say(
    corpus, tmp_path, change, stopped, monkeypatch, capsys
):
    from seq2seq_fast.training.module import TranslationModule

    seen = []
    original = TranslationModule.training_step

    def step(module, batch, index):
        rate = module.trainer.optimizers[0].param_groups[0]["lr"]
        seen.append((module.trainer.current_epoch, rate, batch.numbers.tolist()))
        return original(module, batch, index)

    same = {"optimization": {"schedule": "cosine", "warmup_steps": 1}}
    train(*settings(corpus, tmp_path / "m", **same, **stopped))
    monkeypatch.setattr(TranslationModule, "training_step", step)
    capsys.readouterr()
    change = {"optimization": {}} | change
    change["optimization"] = same["optimization"] | change["optimization"]
    train(*settings(corpus, tmp_path / "m", max_epochs=6, resume=True, **change))
    epochs = sorted({epoch for epoch, *_ in seen})
    first = 2 if "max_epochs" in stopped else epochs[0]
    assert epochs == list(range(first, 6)) and first <= 2
    for epoch in epochs:
        pairs = [pair for at, _, numbers in seen if at == epoch for pair in numbers]
        assert len(pairs) == len(set(pairs)) == len({pair for _, _, numbers in seen for pair in numbers}), (
            "whole epochs"
        )
    rates = [rate for _, rate, _ in seen]
    assert rates[0] == pytest.approx(0.005 * (1 + math.cos(math.pi * first / 6))) and all(rate > 0 for rate in rates)
    assert rates == sorted(rates, reverse=True) and rates[-1] < 0.3 * rates[0]
    assert ("begins anew" in capsys.readouterr().err) is ("max_steps" in stopped)


def test_a_learning_rate_of_zero_with_budget_left_is_refused(corpus, tmp_path, monkeypatch):
    from seq2seq_fast.training.callbacks import Budget

    monkeypatch.setattr(Budget, "spent", lambda *_: 1.0)
    with pytest.raises(InputError, match=r"the learning rate is 0 at step \d though the budget is not spent"):
        train(*settings(corpus, tmp_path / "m", max_steps=3))
