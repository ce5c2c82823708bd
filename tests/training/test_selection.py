"""Which checkpoint a training writes, and when its patience ends."""

import pytest
import torch

from seq2seq_fast.data import InMemoryCorpus, SentencePair
from seq2seq_fast.decoding import Translator
from seq2seq_fast.evaluation import score
from seq2seq_fast.training import VocabularyConfig
from seq2seq_fast.training.checkpoints import Validation, kept_checkpoints
from seq2seq_fast.training.data_module import make_vocabularies
from seq2seq_fast.training.module import TranslationModule
from seq2seq_fast.training.run import train
from tests.training.corpora import settings, write_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus"), train=30, validation=4)


def give_figures(monkeypatch, figures):
    """Have the validations find these scores and losses."""
    figures = iter(figures)

    def found(self, original=TranslationModule.validation_figures):
        return Validation(*next(figures), original(self).scored)

    monkeypatch.setattr(TranslationModule, "validation_figures", found)


def chosen_step(output):
    """Return the step of the kept checkpoint that the model folder holds."""
    [file] = (output / "training/checkpoints").glob("step*.ckpt")
    state = torch.load(file, weights_only=True)
    written = Translator.load(output).model.state_dict()
    assert all(torch.equal(value, state["state_dict"][f"model.{name}"]) for name, value in written.items())
    return state["global_step"]


@pytest.mark.parametrize(
    ("figures", "best"),
    [
        ([(0.0, 3.0), (0.0, 2.0), (0.0, 2.5)], 2),
        ([(100.0, 0.2), (100.0, 0.1), (100.0, 0.3)], 2),
        ([(0.0, 1.0), (5.0, 9.0), (0.0, 0.5)], 2),
        ([(5.0, 2.0), (5.0, 2.0), (5.0, 2.0)], 1),
    ],
    ids=["zeros", "hundreds", "a score before the loss", "the first of equals"],
)
def test_equal_scores_go_to_the_lower_loss(corpus, tmp_path, monkeypatch, figures, best):
    give_figures(monkeypatch, figures)
    result = train(*settings(corpus, tmp_path / "m", max_epochs=3, data={"batch_tokens": 10_000}))
    assert chosen_step(tmp_path / "m") == best and result.bleu == figures[best - 1][0]
    found = [path.name for path in kept_checkpoints(tmp_path / "m/training/checkpoints", "best", 1)]
    assert found == [f"step{best}-bleu{result.bleu:.2f}.ckpt"]


def test_the_average_command_takes_the_best_by_loss_where_scores_are_equal(corpus, tmp_path, monkeypatch):
    give_figures(monkeypatch, [(0.0, 3.0), (0.0, 1.0), (0.0, 2.0), (0.0, 4.0)])
    train(*settings(corpus, tmp_path / "m", max_epochs=4, keep_best=3, data={"batch_tokens": 10_000}))
    best = kept_checkpoints(tmp_path / "m/training/checkpoints", "best", 3)
    assert [path.name for path in best] == [f"step{step}-bleu0.00.ckpt" for step in (2, 3, 1)]


@pytest.mark.parametrize(
    ("figures", "steps"),
    [
        ([(0.0, 3.0)] * 6, 6),  # it sees nothing
        ([(0.0, 3.0), (1.0, 2.0), (1.0, 2.1), (0.0, 1.0), (9.0, 1.0), (9.0, 0.9)], 4),
        ([(7.0, 3.0), (7.0, 2.0), (7.0, 1.0), (7.0, 0.5), (7.0, 0.6), (7.0, 0.7)], 6),  # equal, and the loss falls
    ],
)
def test_patience_counts_only_what_the_score_sees(corpus, tmp_path, monkeypatch, figures, steps):
    give_figures(monkeypatch, figures)
    options = {"max_epochs": 6, "patience": 2, "data": {"batch_tokens": 10_000}}
    assert train(*settings(corpus, tmp_path / "m", **options)).steps == steps


def test_two_scores_of_zero_are_said_once(corpus, tmp_path, monkeypatch, capsys):
    give_figures(monkeypatch, [(0.0, 3.0), (1.0, 3.0), *[(0.0, 3.0)] * 4])
    train(*settings(corpus, tmp_path / "m", max_epochs=6, data={"batch_tokens": 10_000}))
    lines = capsys.readouterr().err.splitlines()
    [place] = [place for place, line in enumerate(lines) if "BLEU was 0 in two validations (tokenizer 13a)" in line]
    assert sum("BLEU" in line for line in lines[:place]) == 4


def test_a_target_without_spaces_is_scored_by_what_it_has(corpus, tmp_path, capsys):
    """The words of the English side without their spaces, in Chinese characters: a sentence is one word."""
    for split in ("train", "validation"):
        text = (corpus / f"{split}.en").read_text(encoding="utf-8").lower()
        signs = "".join(chr(0x4E00 + ord(sign)) if sign.isalpha() else sign for sign in text.replace(" ", ""))
        (corpus / f"{split}.zh").write_text(signs, encoding="utf-8")
    data = {"train_target": "train.zh", "validation_source": "train.de", "validation_target": "train.zh"}
    options = {"vocabulary": {"kind": "characters"}, "model": {"decoder_hidden_size": 64}, "max_epochs": 60}
    result = train(*settings(corpus, tmp_path / "m", data=data, validate_every=10, **options))
    assert "tokenizer" not in capsys.readouterr().err and result.bleu > 5
    sources, references = ((corpus / f"train.{code}").read_text(encoding="utf-8").splitlines() for code in ("de", "zh"))
    found = Translator.load(tmp_path / "m").translate(sources)
    assert score(found, references, "13a").bleu < score(found, references).bleu


def test_a_tokenizer_is_recorded_and_one_that_cannot_be_used_is_refused_before_the_work(corpus, tmp_path):
    from seq2seq_fast.data import InputError
    from seq2seq_fast.training import EvaluationConfig

    train(*settings(corpus, tmp_path / "m", max_steps=1), None, EvaluationConfig("char"))
    assert "tokenize: char" in (tmp_path / "m/training/settings.yaml").read_text(encoding="utf-8")
    with pytest.raises(InputError, match=r"evaluation\.tokenize"):
        train(*settings(corpus, tmp_path / "n", max_steps=1), None, EvaluationConfig("nothing"))  # type: ignore[arg-type]
    assert not (tmp_path / "n").exists()


def test_what_the_vocabulary_is_not_built_of_is_said(corpus, tmp_path, capsys):
    lines = (corpus / "train.de").read_text(encoding="utf-8").splitlines(keepends=True)
    (corpus / "gaps.de").write_text("\n\n" + "".join(lines[2:]), encoding="utf-8")
    options = {"max_steps": 1, "data": {"train_source": "gaps.de"}}
    train(*settings(corpus, tmp_path / "m", vocabulary={"sentences": 29}, **options))
    told = capsys.readouterr().err
    assert "the vocabulary is built of 29 of 30 training pairs, drawn at random: see vocabulary.sentences" in told
    train(*settings(corpus, tmp_path / "n", **options))
    out, err = capsys.readouterr()
    assert "the vocabulary is built of 60 lines of the training pairs (2 left out: 2 empty)" in err
    assert "30 training pairs (2 left out: 2 empty), " in out


@pytest.mark.parametrize("cached", [False, True])
def test_every_pair_left_out_is_counted_by_its_reason(corpus, tmp_path, capsys, cached):
    lines = {}
    for name in ("train.de", "train.en", "validation.de"):
        lines[name] = (corpus / name).read_text(encoding="utf-8").splitlines()
    lines["train.de"][:3] = ["", "so " * 60, "  "]
    lines["train.en"][3:5] = ["", "so " * 60]
    lines["validation.de"][1] = ""
    for name, text in lines.items():
        (corpus / f"gaps.{name}").write_text("".join(f"{line}\n" for line in text), encoding="utf-8")
    data = {"train_source": "gaps.train.de", "train_target": "gaps.train.en", "validation_source": "gaps.validation.de"}
    data |= {"max_length": 50, "cache": str(tmp_path / "c") if cached else None}
    train(*settings(corpus, tmp_path / "m", max_steps=1, data=data))
    told = capsys.readouterr().out
    assert "30 training pairs (5 left out: 3 empty, 2 longer than data.max_length), " in told
    assert "validation pairs (0 left out; 1 empty on a side, validated as they are); " in told


def test_words_of_text_without_spaces_are_warned_of_once(tmp_path, capsys):
    for kind in ("words", "characters"):
        for target in ("我看一本很长的书。", "Ich lese ein langes Buch."):
            pairs = InMemoryCorpus([SentencePair("I read a long book.", target)] * 20)
            make_vocabularies(VocabularyConfig(kind=kind, size=50, joint=False), pairs)
            told = capsys.readouterr().err
            wanted = kind == "words" and target.startswith("我")
            assert told.count("vocabulary.kind words: the target text has no spaces between words") == wanted
            assert ("take vocabulary.kind unigram, bpe or characters" in told) is wanted
