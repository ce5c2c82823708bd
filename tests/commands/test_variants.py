"""Options of the model, from the flag to translations."""

import pytest

from seq2seq_fast import cli
from seq2seq_fast.decoding import Translator
from tests.commands.test_bad_input import training
from tests.training.corpora import write_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus"), train=20, validation=3)


@pytest.mark.parametrize(
    "options",
    [
        {"attention_history": "location"}, {"attention_history": "cumulative"},
        {"attention_history": "coverage", "layer_norm": True}, {"conditional": True},
        {"conditional": True, "layer_norm": True, "attention_history": "location", "cell": "lstm"},
    ],
)  # fmt: skip
def test_a_variant_of_the_model_is_trained_and_translates(corpus, tmp_path, capsys, options):
    flags = {f"model.{name}": value for name, value in options.items()} | {"training.max_steps": 2}
    assert cli.main(training(corpus, tmp_path / "model", **flags)) == 0
    assert "after 2 steps" in capsys.readouterr().out
    config = Translator.load(tmp_path / "model").model.config
    assert {name: getattr(config, name) for name in options} == options
    assert cli.main(["translate", str(tmp_path / "model"), str(corpus / "validation.de")]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
