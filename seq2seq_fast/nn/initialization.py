"""Initial weights of the model for training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from seq2seq_fast.nn.additive_attention import AdditiveAttention
from seq2seq_fast.nn.attention import MultiplicativeAttention
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
            if module.score_bias is not None:
                nn.init.zeros_(module.score_bias)


def _initialize_cell(cell: RecurrentCell) -> None:
    if isinstance(cell, LayerNormCell):
        cell.reset_norms()
    with _whole(cell.weight_ih) as weight:
        for gate in weight.chunk(cell.gates):
            nn.init.xavier_uniform_(gate)
    with _whole(cell.weight_hh) as weight:
        for gate in weight.chunk(cell.gates):
            nn.init.orthogonal_(gate)
    for bias in (cell.bias_ih, cell.bias_hh):
        if bias is not None:
            nn.init.zeros_(bias)
    if cell.kind == "lstm" and cell.bias_ih is not None:
        with _whole(cell.bias_ih) as bias:
            nn.init.zeros_(bias)
            nn.init.ones_(bias.chunk(4)[1])


@contextmanager
def _whole(parameter: Any) -> Iterator[Tensor]:
    """The parameter as a tensor whose parts can be drawn one by one; one that FSDP2 has sharded is gathered for it."""
    if not hasattr(parameter, "full_tensor"):
        yield parameter
        return
    from torch.distributed.tensor import distribute_tensor

    whole = torch.empty(parameter.shape, dtype=parameter.dtype, device=parameter.device)
    yield whole
    with torch.no_grad():
        parameter.copy_(distribute_tensor(whole, parameter.device_mesh, parameter.placements))
