import torch

from seq2seq_fast.nn import Seq2Seq
from tests.nn.support import tiny


def test_recurrent_matrices_are_orthogonal_gate_by_gate_and_biases_zero():
    model = Seq2Seq(tiny(cell="gru"))
    for cell in (model.encoder.backward_cells[0], model.decoder.cells[0]):
        for gate in cell.weight_hh.chunk(3):
            torch.testing.assert_close(gate @ gate.T, torch.eye(cell.hidden_size))
        assert (cell.bias_ih == 0).all() and (cell.bias_hh == 0).all()
    assert (model.decoder.output.bias == 0).all()


def test_an_lstms_forget_gate_starts_open():
    cell = Seq2Seq(tiny(cell="lstm")).decoder.cells[0]
    bias = (cell.bias_ih + cell.bias_hh).reshape(4, 6)
    assert (bias[1] == 1).all() and (bias[[0, 2, 3]] == 0).all()


def test_embeddings_have_unit_length_on_average():
    model = Seq2Seq(tiny(target_vocabulary_size=500, target_size=64, readout_size=64))
    assert abs(model.decoder.embedding.weight.square().sum(dim=1).mean().item() - 1) < 0.1
