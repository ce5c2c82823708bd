import pytest
import torch

from seq2seq_fast.nn.readout import Readout


def test_maxout_is_the_larger_of_two_projections():
    readout = Readout("maxout", 7, 3)
    hidden, context = torch.randn(2, 4, 5), torch.randn(2, 4, 2)
    first, second = readout.projection(torch.cat([hidden, context], dim=2)).split(3, dim=2)
    torch.testing.assert_close(readout(hidden, context), torch.where(first > second, first, second))


def test_tanh_is_one_projection():
    readout = Readout("tanh", 7, 3)
    seen = torch.randn(2, 7)
    torch.testing.assert_close(readout(seen), torch.tanh(seen @ readout.projection.weight.T + readout.projection.bias))


def test_an_unknown_kind_is_an_error():
    with pytest.raises(ValueError, match="readout must be one of 'maxout', 'tanh'; got 'relu'"):
        Readout("relu", 7, 3)
