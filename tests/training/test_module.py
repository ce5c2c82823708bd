"""What the settings of the optimization change in one step."""

import pytest
import torch

from seq2seq_fast.training import OptimizationConfig
from seq2seq_fast.training.module import _optimizer
from seq2seq_fast.training.run import train
from tests.training.corpora import settings, write_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus"))


def stepped(name, **options):
    """A weight of 3 after one step with the gradient 2."""
    model = torch.nn.Linear(1, 1, bias=False, dtype=torch.float64)
    torch.nn.init.constant_(model.weight, 3.0)
    model.weight.grad = torch.full_like(model.weight, 2.0)
    _optimizer(model, OptimizationConfig(optimizer=name, learning_rate=0.1, **options), fused=False).step()
    return model.weight.item()


def test_each_optimizer_takes_its_own_step():
    assert stepped("adam") == pytest.approx(3 - 0.1, abs=1e-6)
    # Adam adds the decay to the gradient, whose size it then forgets; AdamW shrinks the weight itself.
    assert stepped("adam", weight_decay=0.5) == pytest.approx(3 - 0.1, abs=1e-6)
    assert stepped("adamw", weight_decay=0.5) == pytest.approx(3 * (1 - 0.1 * 0.5) - 0.1, abs=1e-6)
    # sqrt(0 + eps) / sqrt(0.05 g^2 + eps) g (Zeiler 2012).
    assert stepped("adadelta") == pytest.approx(3 - 0.1 * 2 * (1e-6 / (0.05 * 4 + 1e-6)) ** 0.5, abs=1e-9)


def test_gradients_are_clipped_to_the_norm_that_is_set(corpus, tmp_path, monkeypatch):
    clip, norms = torch.nn.utils.clip_grad_norm_, []

    def watched(parameters, max_norm, *rest, **named):
        parameters = list(parameters)
        before = clip(parameters, max_norm, *rest, **named)
        norms.append((float(before), float(torch.cat([p.grad.flatten() for p in parameters]).norm())))
        return before

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", watched)
    train(*settings(corpus, tmp_path / "model", max_steps=2, optimization={"gradient_clip": 0.01}))
    assert len(norms) == 2 and all(before > 0.02 and after == pytest.approx(0.01, rel=1e-3) for before, after in norms)


def test_the_bar_shows_whole_tokens_a_second(monkeypatch):
    from lightning.pytorch.callbacks import TQDMProgressBar

    from seq2seq_fast.training.callbacks import ProgressBar

    monkeypatch.setattr(TQDMProgressBar, "get_metrics", lambda *_: {"v_num": 0, "tokens_per_second": 1234.5})
    assert ProgressBar().get_metrics(None, None) == {"tokens/s": "1,234"}
