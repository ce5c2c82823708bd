"""What the raw operators of all engines share on the host: their arguments as values with names, and their results.

A raw operator's schema (:mod:`seq2seq_fast.ops.schemas`) is a flat list, as torch.library wants it. An engine turns it
into one of these values at its door; inside, the value travels. Nothing here launches anything.
"""
