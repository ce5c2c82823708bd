"""``seq2seq-fast evaluate`` with several references, other systems and COMET."""

import sys
import types

import pytest

from seq2seq_fast import cli
from seq2seq_fast.data import build_vocabulary
from seq2seq_fast.decoding import Translator, save_model_folder
from seq2seq_fast.evaluation import score
from tests.decoding.models import small_model

LINES = ["ein Hund", "der kleine Hund sieht die Katze", "die Katze", "zwei Hunde und drei Katzen"]


def run(*arguments):
    return cli.main(["evaluate", *map(str, arguments)])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    vocabulary = build_vocabulary(LINES, "words", 40)
    network = small_model(len(vocabulary), source_vocabulary=len(vocabulary), sharpness=5.0, end=-1.0)
    return save_model_folder(tmp_path_factory.mktemp("model"), network, vocabulary, vocabulary)


@pytest.fixture
def files(model, tmp_path):
    own = Translator.load(model).translate(LINES)
    sides = {"src": LINES, "a": [*own[:2], "x", "y"], "b": ["x", "", *own[2:]], "short": LINES[1:], "own": own}
    for name, lines in sides.items():
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return tmp_path


@pytest.fixture
def comet(monkeypatch):
    """A stand-in for the package, whose models are large: the share of translations that are their references."""

    def predict(data, batch_size, gpus, progress_bar):
        assert gpus == 0 and all(set(one) == {"src", "mt", "ref"} for one in data)
        if any("boom" in one["ref"] for one in data):
            raise RuntimeError("boom")
        return types.SimpleNamespace(system_score=sum(one["mt"] == one["ref"] for one in data) / len(data))

    def download(name):
        if name != "known":
            raise KeyError(name)
        return "path"

    package = types.ModuleType("comet")
    package.__spec__ = types.SimpleNamespace(name="comet")
    package.download_model = download
    package.load_from_checkpoint = lambda path: types.SimpleNamespace(predict=predict)
    monkeypatch.setitem(sys.modules, "comet", package)


def test_several_references_score_higher_than_one(model, files, capsys):
    assert run(model, "--src", files / "src", "--ref", files / "a", files / "b") == 0
    out = capsys.readouterr().out
    sets = [(files / name).read_text(encoding="utf-8").split("\n")[:-1] for name in ("a", "b")]
    own = (files / "own").read_text(encoding="utf-8").split("\n")[:-1]
    assert out == f"{score(own, sets)}\n" and "nrefs:var" in out
    assert score(own, sets).bleu > max(score(own, one).bleu for one in sets) > 0


def test_other_systems_are_compared_by_both_tests(model, files, capsys):
    given = (model, "--src", files / "src", "--ref", files / "own", "--compare_to", files / "a", files / "own")
    assert run(*given, "--bootstrap_samples", 50, "--randomisation_trials", 60) == 0
    out = capsys.readouterr().out
    assert "paired bootstrap resampling, 50 samples\n" in out
    assert "paired approximate randomisation, 60 samples\n" in out
    rows = [line for line in out.splitlines() if line.startswith(str(files / "own"))]
    assert len(rows) == 2 and all(row.count("p 1.0000") == 2 for row in rows)
    assert run(*given, "--bootstrap_samples", 0, "--randomisation_trials", 10) == 0
    assert "bootstrap" not in capsys.readouterr().out


def test_comet_is_the_mean_over_references(model, files, capsys, comet):
    given = (model, "--src", files / "src", "--ref", files / "a", files / "own")
    assert run(*given, "--comet", "known") == 0
    assert "COMET 0.7500  known\n" in capsys.readouterr().out
    assert run(*given, "--comet", "unknown") == 2
    assert capsys.readouterr().err.endswith("COMET unknown: the model cannot be loaded ('unknown')\n")
    (files / "boom").write_text("boom\n" * 4)
    given = (model, "--src", files / "src", "--ref", files / "boom", "--output", files / "out")
    assert run(*given, "--comet", "known") == 2
    assert "COMET cannot score the translations (boom)" in capsys.readouterr().err
    assert (files / "out").read_text() == (files / "own").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--ref", "src", "short"], "has 4 lines but"),
        (["--ref", "src", "--compare_to", "short"], "has 4 lines but"),
        (["--ref", "src", "--compare_to", "nothing"], "nothing: no such file"),
        (["--ref", "src", "--compare_to", "a", "a"], "--compare_to: name each system once"),
        (
            ["--ref", "src", "--compare_to", "a", "--bootstrap_samples", "0", "--randomisation_trials", "0"],
            "nothing would be tested",
        ),
        (["--ref", "src", "--bootstrap_samples", "-1"], "bootstrap_samples must be at least 0"),
        (["--ref", "src", "--compare_to", "a", "--output", "a"], "is one of the files to read"),
        (["--ref", "src", "a", "--output", "a"], "is one of the files to read"),
    ],
)
def test_what_cannot_be_compared_is_one_line_before_any_work(model, files, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(files)
    assert run(model, "--src", "src", *arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and message in err and err.count("\n") == 1


def test_comet_that_is_not_installed_is_named(model, files, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "comet", None)
    assert run(model, "--src", files / "src", "--ref", files / "a", "--comet", "known") == 2
    assert "it needs: pip install unbabel-comet" in capsys.readouterr().err
