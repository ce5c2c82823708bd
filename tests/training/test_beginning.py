"""A new training that begins with the weights of a model."""

import pytest
import torch

from seq2seq_fast.cli import main
from seq2seq_fast.data import InputError
from seq2seq_fast.decoding import load_model_folder
from seq2seq_fast.training.run import train
from tests.training.corpora import settings, weights, write_corpus


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    corpus = write_corpus(tmp_path_factory.mktemp("corpus"), train=40, validation=4)
    output = tmp_path_factory.mktemp("begun") / "m"
    train(*settings(corpus, output, max_steps=3))
    return corpus, output


def go(corpus, output, folder, **changes):
    """Train with a model's weights and a rate so low that they stay what they are."""
    low = {"optimization": {"learning_rate": 1e-12}, "max_steps": 1}
    data, vocabulary, _, *rest = settings(corpus, output, **(low | changes))
    return train(data, vocabulary, changes.get("model", {}), *rest, None, None, str(folder))


def test_it_begins_with_the_weights_and_vocabularies_of_the_model_and_steps_of_its_own(begun, tmp_path, capsys):
    corpus, model = begun
    result = go(corpus, tmp_path / "n", model, model={"dropout": 0.3})
    old, new = load_model_folder(model), load_model_folder(tmp_path / "n")
    assert result.steps == 1 and new[0].config.dropout == 0.3
    [told] = [line for line in capsys.readouterr().err.splitlines() if line.startswith(f"--from {model}: ")]
    assert "model.decoder_hidden_size 24" in told and "model.dropout" not in told
    assert new[0].config.decoder_hidden_size == old[0].config.decoder_hidden_size == 24
    assert [each.serialized() for each in old[1:]] == [each.serialized() for each in new[1:]]
    for name, value in old[0].state_dict().items():
        torch.testing.assert_close(new[0].state_dict()[name], value, rtol=0, atol=1e-9)
    train(*settings(corpus, tmp_path / "n", max_steps=3, resume=True, model={"dropout": 0.3}))
    assert weights(tmp_path / "n")[1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"decoder_hidden_size": 20}}, r"that model has model\.decoder_hidden_size 24, not 20"),
        ({"vocabulary": {"size": 300}}, r"leave vocabulary\.size 300 out"),
        ({"vocabulary": {"source": "x"}}, r"leave vocabulary\.source x out"),
        ({"resume": True}, r"--from begins a new training"),
    ],
)
def test_what_asks_for_another_model_is_refused(begun, tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        go(begun[0], tmp_path / "n", begun[1], **changes)
    assert not (tmp_path / "n").exists()


def test_the_command_takes_it_as_from(tmp_path, capsys):
    assert main(["train", "--from", str(tmp_path / "none")]) == 2
    assert f"{tmp_path / 'none'}: no such model folder" in capsys.readouterr().err
