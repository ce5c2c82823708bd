"""Launch parameters of real sizes at small shapes, so that executed code is the code that ships."""

from __future__ import annotations

import pytest

from seq2seq_fast.triton_kernels import launch

BATCH, QUERIES, SOURCE, UNITS, SIZE, HIDDEN = 64, 50, 50, 512, 1024, 512


def real_launch_parameters(patch: pytest.MonkeyPatch) -> None:
    """Whatever the shape, launches take the parameters of a training step with the sizes above."""
    one_query, score_gradient = launch.one_query, launch.score_gradient
    weights_gradient = launch.weights_gradient
    score_tiles, unit_gradients = launch.score_tiles, launch.unit_gradients
    combine, softmax_rows, cell = launch.combine, launch.softmax_rows, launch.cell

    def real_score_gradient(rows, source, units, element_size, processors):
        parameters, _ = score_gradient(BATCH, SOURCE, UNITS, element_size, processors)
        share = parameters["BLOCK_T"]
        return parameters, (max(1, launch.ceil_div(source, share)), share)

    def real_one_query(rows, source, units, size, element_size, processors):
        return one_query(BATCH, SOURCE, UNITS, size if size == 8 else SIZE, element_size, processors)

    def real_weights_gradient(size):
        return weights_gradient(SIZE)

    patch.setattr(launch, "one_query", real_one_query)
    patch.setattr(launch, "weights_gradient", real_weights_gradient)
    patch.setattr(launch, "score_gradient", real_score_gradient)
    scores = BATCH, QUERIES, SOURCE, UNITS, launch.ASSUMED_PROCESSORS
    patch.setattr(launch, "score_tiles", lambda *shape: score_tiles(*scores))
    patch.setattr(launch, "unit_gradients", lambda *shape: unit_gradients(UNITS))
    patch.setattr(launch, "combine", lambda *shape: combine(SOURCE, SIZE))
    patch.setattr(launch, "softmax_rows", lambda *shape: softmax_rows(SOURCE))
    patch.setattr(launch, "cell", lambda *shape: cell(HIDDEN))
