"""The demonstration, shortened."""

import re

import pytest

from seq2seq_fast import cli, demo


def test_it_writes_corpora_models_and_pictures_and_prints_alignment_quality_and_bleu_last(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(demo, "_SIZES", {"train": 300, "validation": 20, "test": 30})
    for _ in range(2):  # the second replaces the first
        bleu = demo.run_demo(tmp_path / "demo", 0.02)
    out = capsys.readouterr().out
    (whole, third), (plain, plain_third) = bleu["with attention"], bleu["without attention"]
    assert out.splitlines()[-4:] == [
        f"test BLEU with attention: {whole:.2f}",
        f"test BLEU without attention: {plain:.2f}",
        f"test BLEU with attention (longest third): {third:.2f}",
        f"test BLEU without attention (longest third): {plain_third:.2f}",
    ]
    assert out.count("  reference  ") == 2 * 5
    picture = tmp_path / "demo/attention.png"
    assert str(picture) in out and picture.read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "demo/bleu_by_length.png").read_bytes().startswith(b"\x89PNG")
    for language in ("German", "Korean"):
        line = rf"^test alignments of {language} words by the attention: AER [01]\.\d+, precision .+, recall .+$"
        assert len(re.findall(line, out, re.MULTILINE)) == 2
    assert (tmp_path / "demo/with_attention/curves.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "demo/with_attention/model.safetensors").is_file()
    assert len((tmp_path / "demo/corpus/test.de").read_text(encoding="utf-8").splitlines()) == 30


@pytest.mark.prove
def test_with_attention_it_translates_well_and_much_better_than_without(tmp_path, capsys):
    """What the demonstration promises of two idle cores; on a busy machine it learns less in its minutes."""
    assert cli.main(["demo", "--output", str(tmp_path / "demo")]) == 0
    lines = capsys.readouterr().out.splitlines()[-4:]
    bleu = {name.removeprefix("test BLEU "): float(value) for name, value in (line.split(": ") for line in lines)}
    assert bleu["with attention"] >= 90
    assert bleu["with attention (longest third)"] - bleu["without attention (longest third)"] >= 15


def test_an_interrupted_demonstration_says_to_run_it_again(tmp_path, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt("interrupted; --training.resume=true goes on")

    monkeypatch.setattr(demo, "run_demo", interrupted)
    assert cli.main(["demo", "--output", str(tmp_path)]) == 130
    wanted = f"seq2seq-fast: error: interrupted: run it again, which begins anew in {tmp_path}\n"
    assert capsys.readouterr().err == wanted


@pytest.mark.parametrize("name", ["folder", "file"])
def test_what_is_somebody_elses_is_left_alone(tmp_path, capsys, name):
    (tmp_path / "folder/corpus").mkdir(parents=True)
    files = [tmp_path / "folder/corpus/train.de", tmp_path / "file"]
    for file in files:
        file.write_text("mine")
    assert cli.main(["demo", "--output", str(tmp_path / name)]) == 2
    err = capsys.readouterr().err
    assert str(tmp_path / name) in err and len(err.splitlines()) == 1
    assert all(file.read_text() == "mine" for file in files)
    assert not (tmp_path / "folder" / demo._MARK).exists()
