"""How many launches one more target position adds to a decoder: kernels and library calls, traced on meta tensors."""

from collections import Counter

import pytest
import torch

from benchmarks.gpu_report.eager import EagerTrace
from benchmarks.gpu_report.triton.calls import attention_calls, decoder_calls, launches_of
from benchmarks.gpu_report.triton.decoder import decoder_step_launches
from benchmarks.gpu_report.triton.launches import recorded
from seq2seq_fast.triton_kernels import launch

FORMS = [("rnn", True), ("gru", True), ("gru", False), ("lstm", True)]
FORWARD, BOTH = 0, 1


def launches(which: int, form: tuple[str, bool], batch: int, positions: int, dtype: torch.dtype) -> int:
    totals = []
    for target in (2, 3):
        call = decoder_calls(*form, batch, positions, 512, 512, 512, 1024, dtype, target=target)[which]
        with recorded() as kernels, EagerTrace() as library, torch.no_grad():
            call()
        totals.append(len(kernels) + len(library.kernels))
    return totals[1] - totals[0]


def second_product(form: tuple[str, bool]) -> int:
    """With the reset before its product the candidate needs a product and a kernel of its own."""
    return 2 if form == ("gru", False) else 0


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize(
    ("projected", "batch", "dtype", "count"),
    [
        # The state's product, the attention kernel, the cell's kernel, which combines the tiles.
        (True, 64, torch.float32, 3),
        (True, 8, torch.bfloat16, 3),
        # And the product of the context or, where a source has several tiles, of the contexts that these leave.
        (False, 64, torch.bfloat16, 4),
        (False, 64, torch.float32, 4),
        (False, 8, torch.bfloat16, 4),
        # Those of float16 are combined before it, by a kernel of their own.
        (False, 8, torch.float16, 5),
    ],
)
def test_forward(monkeypatch, form, projected, batch, dtype, count):
    monkeypatch.setattr(launch, "project_values", lambda *shape: projected)
    assert launches(FORWARD, form, batch, 50, dtype) == count + second_product(form)


@pytest.mark.parametrize(("batch", "positions", "count"), [(64, 200, 4), (256, 400, 5)])
def test_contexts_of_many_tiles_are_combined_before_their_product(batch, positions, count):
    assert not launch.project_values(batch, positions, 1024, 3 * 512, 4)
    assert launches(FORWARD, ("gru", True), batch, positions, torch.float32) == count


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize(
    ("positions", "dtype", "count"),
    [
        # The cell's kernel, the context's product, two attention kernels, the product with the stacked weights.
        (50, torch.float32, 5),
        (50, torch.bfloat16, 5),
        # And the sum of the query's gradient where positions too are shared out, with its conversion.
        (400, torch.bfloat16, 7),
    ],
)
def test_backward(form, positions, dtype, count):
    both, forward = (launches(which, form, 64, positions, dtype) for which in (BOTH, FORWARD))
    assert both - forward == count + second_product(form)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_eager_launches_more_than_four_times_as_many(cell):
    ours, eager = decoder_step_launches(cell, torch.bfloat16)
    assert ours == 3 and eager >= 4 * ours


def test_batches_of_any_number_of_queries_run_the_same_code():
    """What Triton compiles hangs on no counter: lengths that differ in every batch would compile again and again."""
    calls = [
        call for queries in (33, 48) for call in attention_calls(8, queries, 64, 64, 64, torch.float32, True)[3:5]
    ]  # fmt: skip
    compiled = Counter(made.name for made in launches_of(calls))
    kernels = ("many_queries._score_tiles_kernel", "many_queries._softmax_rows_kernel")
    assert [compiled[kernel] for kernel in kernels] == [1, 1]
    assert compiled["many_queries_backward._softmax_rows_backward_kernel"] == 1
