"""Initial weights of the model for training."""

from __future__ import annotations

from torch import nn

from seq2seq_fast.nn.attention import AdditiveAttention, MultiplicativeAttention
from seq2seq_fast.nn.cells import RecurrentCell
from seq2seq_fast.nn.layer_norm_cells import LayerNormCell


def initialize(model: nn.Module) -> None:
    """Weights to start training from; the same seed gives the same weights.

    Recurrent matrices are orthogonal, gate by gate, as in Bahdanau et al. (arXiv 1409.0473, B.1). All other matrices
    are Glorot's uniform, gate by gate: the paper's tiny Gaussians went with Adadelta. Location filters and the matrix
    of multiplicative attention are drawn as their layers draw them; gains of layer normalisation are 1.
    Biases are zero, an LSTM's forget gate starts at 1 (Jozefowicz et al. 2015). Embeddings are Gaussian with variance
    ``1 / size``, so that tied logits start near unit size.
    """
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=module.embedding_dim**-0.5)
        elif isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, RecurrentCell):
            _initialize_cell(module)
        elif isinstance(module, MultiplicativeAttention | nn.Conv1d):
            module.reset_parameters()
        elif isinstance(module, AdditiveAttention):
            bound = module.v.shape[0] ** -0.5
            nn.init.uniform_(module.v, -bound, bound)


def _initialize_cell(cell: RecurrentCell) -> None:
    if isinstance(cell, LayerNormCell):
        cell.reset_norms()
    for gate in cell.weight_ih.chunk(cell.gates):
        nn.init.xavier_uniform_(gate)
    for gate in cell.weight_hh.chunk(cell.gates):
        nn.init.orthogonal_(gate)
    for bias in (cell.bias_ih, cell.bias_hh):
        if bias is not None:
            nn.init.zeros_(bias)
    if cell.kind == "lstm" and cell.bias_ih is not None:
        nn.init.ones_(cell.bias_ih.chunk(4)[1])
