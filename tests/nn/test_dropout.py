import pytest
import torch

from seq2seq_fast.nn.dropout import DecoderDropout, dropout_mask, sequence_dropout


def test_a_mask_keeps_the_mean():
    mask = dropout_mask(torch.zeros(1, dtype=torch.float64), 200, 200, probability=0.25)
    assert mask.dtype == torch.float64
    assert set(mask.unique().tolist()) == {0.0, 1 / 0.75}
    assert abs(mask.mean().item() - 1) < 0.02


@pytest.mark.parametrize("variational", [True, False])
def test_variational_drops_a_unit_at_every_position(variational):
    dropped = sequence_dropout(torch.ones(4, 6, 30), 0.5, True, variational) == 0
    assert bool((dropped == dropped[:, :1]).all()) is variational
    assert not (dropped == dropped[:1]).all()


def test_evaluation_and_probability_zero_leave_sequences_alone():
    sequences = torch.randn(2, 3, 4)
    assert sequence_dropout(sequences, 0.5, False, True) is sequences
    assert sequence_dropout(sequences, 0.0, True, True) is sequences


def test_a_held_place_drops_by_its_mask_and_any_other_anew():
    dropout = DecoderDropout({"state": (30, 0.5), "input": (30, 0.5), "readout": (30, 0.0)}, ["state", "readout"])
    units = torch.ones(4, 6, 30, dtype=torch.float64)
    masks = dropout.masks(4, units)
    assert set(masks) == {"state"} and masks["state"].dtype == units.dtype
    torch.testing.assert_close(dropout(units, "state", masks), masks["state"][:, None] * units)
    anew = dropout(units, "input", masks) == 0
    assert not (anew == anew[:, :1]).all()
    assert dropout(units, "readout", masks) is units
    assert dropout.eval().masks(4, units) == {} and dropout(units, "state", masks) is units
