"""The curves that a training keeps."""

from types import SimpleNamespace

from seq2seq_fast.training.curves import Curves


def steps(curves, first, last):
    for step in range(first, last + 1):
        trainer = SimpleNamespace(global_step=step, is_global_zero=True, callback_metrics={})
        curves.on_train_batch_end(trainer, None, {"summed_loss": 1000.0, "tokens": step}, None, step)
        if step % 50 == 0:
            trainer.callback_metrics |= {"validation_loss": 500.0 / step, "validation_bleu": step / 10}
            curves.on_validation_end(trainer, None)
    return trainer


def test_a_resumed_training_has_the_curves_of_an_uninterrupted_one(tmp_path, monkeypatch):
    monkeypatch.setattr("seq2seq_fast.training.curves._MOST_POINTS", 8)
    whole, first, second = (Curves(tmp_path / name) for name in ("whole.png", "none.png", "resumed.png"))
    steps(whole, 1, 200)
    steps(first, 1, 123)
    second.load_state_dict(first.state_dict())
    trainer = steps(second, 124, 200)
    assert second.state_dict() == whole.state_dict()
    points = whole.state_dict()["points"]
    assert len(points["train_loss"]) < 8 and points["validation_bleu"][-1] == (200, 20.0)
    for curves in (whole, second):
        curves.on_fit_end(trainer, None)
    assert (tmp_path / "whole.png").read_bytes() == (tmp_path / "resumed.png").read_bytes()
