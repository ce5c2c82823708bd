"""The demonstration, shortened."""

from seq2seq_fast import demo


def test_it_writes_a_corpus_a_model_and_a_picture_and_prints_bleu(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo, "_SIZES", {"train": 300, "validation": 20, "test": 30})
    bleu = demo.run_demo(tmp_path, 0.02)
    out = capsys.readouterr().out
    assert f"test BLEU with attention: {bleu:.2f}" in out
    assert out.count("  reference    ") == 5
    assert f"{tmp_path / 'attention.png'}" in out and (tmp_path / "attention.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "model/model.safetensors").is_file()
    assert len((tmp_path / "corpus/test.de").read_text(encoding="utf-8").splitlines()) == 30
