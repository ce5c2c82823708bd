import pytest
import triton
from triton.runtime import interpreter

import seq2seq_fast


@pytest.fixture(autouse=True)
def in_the_interpreter():
    assert triton.knobs.runtime.interpret
    assert seq2seq_fast.backends()["triton"].devices == ("cpu",)


@pytest.fixture
def shuffled(monkeypatch):
    """Programs run in another order: ``shuffled(seed)`` from the next launch on, ``shuffled(None)`` as they come."""
    import torch

    builder = interpreter.interpreter_builder
    place, order = builder.set_grid_idx, {}

    def shuffle(seed):
        def set_grid_idx(x, y, z):
            count = builder.grid_dim[0]
            if x == 0:
                generator = torch.Generator().manual_seed(seed)
                order["of"] = torch.randperm(count, generator=generator).tolist()
            place(order["of"][x], y, z)

        monkeypatch.setattr(builder, "set_grid_idx", place if seed is None else set_grid_idx)

    return shuffle
