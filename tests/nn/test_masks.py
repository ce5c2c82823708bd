import torch

from seq2seq_fast.nn.masks import attended_positions, zero_where_masked


def test_a_position_needs_both_length_and_mask():
    values, lengths = torch.randn(2, 3, 4), torch.tensor([3, 1], dtype=torch.int32)
    mask = torch.tensor([[True, False, True], [False, True, True]])
    checked, attended = attended_positions(values, lengths, mask)
    assert checked.dtype == torch.int64
    assert attended.tolist() == [[True, False, True], [False, False, False]]
    assert attended_positions(values, lengths, None)[1].tolist() == [[True, True, True], [True, False, False]]
    assert attended_positions(values, None, mask) == (None, mask)
    assert attended_positions(values, None, None) == (None, None)


def test_masked_values_are_zero_whatever_they_were():
    values = torch.tensor([[[torch.nan, 1.0], [2.0, torch.inf]]])
    assert zero_where_masked(values, torch.tensor([[False, True]])).tolist() == [[[0.0, 0.0], [2.0, torch.inf]]]
    assert zero_where_masked(torch.tensor([[5, 6]]), torch.tensor([[True, False]])).tolist() == [[5, 0]]
    assert zero_where_masked(values, None) is values
