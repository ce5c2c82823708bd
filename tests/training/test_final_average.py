"""Averages of checkpoints, at the end of a training."""

import pytest
import torch

from seq2seq_fast.data import InputError
from seq2seq_fast.decoding import Translator
from seq2seq_fast.training import TrainingConfig, module
from seq2seq_fast.training.checkpoints import Validation, average_weights, kept_checkpoints, read_weights
from seq2seq_fast.training.final_average import FinalAverage
from seq2seq_fast.training.run import train
from tests.training.corpora import settings, write_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus"), train=30, validation=4)


def mean(paths):
    states = [torch.load(path, weights_only=True)["state_dict"] for path in paths]
    return {
        name.removeprefix("model."): torch.stack([state[name].double() for state in states]).mean(0).float()
        for name in states[0]
    }


@pytest.mark.parametrize(
    ("options", "final", "taken"),
    [({}, 9.5, True), ({}, 8.0, False), ({"average_always": True}, 8.0, True), ({"average_of": "last"}, 9.5, True)],
)
def test_the_average_is_written_where_it_is_better(corpus, tmp_path, monkeypatch, capsys, options, final, taken):
    scores = iter([3.0, 9.0, 7.0, 5.0, final])
    monkeypatch.setattr(module, "score", lambda *_: type("Scores", (), {"bleu": next(scores)}))
    result = train(
        *settings(corpus, tmp_path / "model", max_epochs=4, average_checkpoints=2, keep_best=2, keep_last=3, **options)
    )
    folder = tmp_path / "model/training/checkpoints"
    steps = sorted(int(path.stem.split("step")[1]) for path in folder.glob("recent-*"))
    assert len(steps) == 3 and steps[-1] == result.steps
    best, second = kept_checkpoints(folder, "best", 2)
    assert "bleu9.00" in best.name and "bleu7.00" in second.name
    chosen = kept_checkpoints(folder, "last", 2) if options.get("average_of") == "last" else [best, second]
    expected = mean(chosen if taken else [best])
    written = Translator.load(tmp_path / "model").model.state_dict()
    for name, value in written.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-6, atol=1e-7)
    assert result.bleu == (final if taken else 9.0)
    word = "average" if taken else "best"
    assert (
        f"the average of 2 checkpoints: BLEU {final:.2f}, the best checkpoint 9.00; the {word} is"
        in capsys.readouterr().err
    )


def test_the_bleu_of_the_average_is_that_of_its_translations(corpus, tmp_path):
    from seq2seq_fast.data import read_pairs
    from seq2seq_fast.decoding import SearchConfig
    from seq2seq_fast.evaluation import score

    train_is_validation = {"validation_source": "train.de", "validation_target": "train.en"}
    arguments = settings(
        corpus, tmp_path / "model", data=train_is_validation, max_steps=60, validate_every=5, average_checkpoints=3,
        average_always=True,
    )  # fmt: skip
    result = train(*arguments)
    pairs = read_pairs(corpus / "train.de", corpus / "train.en")
    found = Translator.load(tmp_path / "model").translate([pair.source for pair in pairs], SearchConfig(beam_size=1))
    assert result.bleu == pytest.approx(score(found, [pair.target for pair in pairs]).bleu, abs=0.5) and result.bleu > 1


def test_what_cannot_be_averaged_is_named(tmp_path):
    with pytest.raises(InputError, match="average_checkpoints must be 0 or at least 2; got 1"):
        TrainingConfig(average_checkpoints=1)
    with pytest.raises(InputError, match="has 0 of the 2 best checkpoints wanted"):
        kept_checkpoints(tmp_path / "none", "best", 2)
    (tmp_path / "a.ckpt").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"a\.ckpt: not a complete checkpoint"):
        read_weights(tmp_path / "a.ckpt")
    with pytest.raises(InputError, match="b: is another model than a"):
        average_weights([("a", {"x": torch.zeros(2)}), ("b", {"x": torch.zeros(3)})])


def test_the_mean_is_rounded_once():
    values = [torch.tensor([1.0, 1e8]), torch.tensor([1e-8, -1e8]), torch.tensor([1.0, 3.0])]
    found = average_weights([(str(place), {"x": value}) for place, value in enumerate(values)])["x"]
    assert found.dtype == torch.float32
    assert torch.equal(found, (sum(value.double() for value in values) / 3).float())


def test_a_resumed_training_without_time_left_keeps_the_average_that_was_written(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(FinalAverage, "_validate", lambda *_: Validation(99.0, 1.0))
    options = {"average_checkpoints": 2, "keep_best": 2, "max_steps": None, "max_minutes": 0.03, "validate_every": 0.5}
    assert train(*settings(corpus, tmp_path / "model", **options)).bleu == 99.0
    written = (tmp_path / "model/model.safetensors").read_bytes()
    train(*settings(corpus, tmp_path / "model", resume=True, **options))
    assert (tmp_path / "model/model.safetensors").read_bytes() == written
