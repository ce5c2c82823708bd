"""Small models to search with."""

import torch

from seq2seq_fast.data import pad
from seq2seq_fast.nn import Seq2SeqConfig
from seq2seq_fast.nn.seq2seq import Seq2Seq

BOS, EOS = 2, 3


def small_model(vocabulary=13, seed=0, sharpness=6.0, end=3.0, source_vocabulary=13, **settings):
    """A random model whose next-piece distributions are far from uniform, so that searches make real choices."""
    torch.manual_seed(seed)
    sizes = {"source_size": 8, "target_size": 8, "encoder_hidden_size": 8, "decoder_hidden_size": 8}
    config = Seq2SeqConfig(
        target_vocabulary_size=vocabulary, source_vocabulary_size=source_vocabulary, **(sizes | settings)
    )
    model = Seq2Seq(config).eval()
    with torch.no_grad():
        model.decoder.output.weight.mul_(sharpness)
        model.encoder.embedding.weight.mul_(3)
        model.decoder.output.bias[EOS] = end
    return model


def sources(count, seed=0, longest=9):
    """Padded random source tokens [B, Tx] and their lengths."""
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.randint(1, longest + 1, (count,), generator=generator).tolist()
    return pad([torch.randint(4, 13, (size,), generator=generator).tolist() for size in sizes], 0)
