"""How operators launch: directly, on the device of their tensors, with nothing in them that a capture forbids."""

import contextlib
from types import SimpleNamespace

import pytest
import torch
from torch._higher_order_ops.triton_kernel_wrap import kernel_side_table

import seq2seq_fast
from benchmarks.gpu_report.triton.launches import in_place_of_launches
from seq2seq_fast.ops.schemas import SCHEMAS
from seq2seq_fast.triton_kernels.registration import launching
from tests.support.capture import NothingReadOnTheHost, imagined_devices
from tests.support.cases import attention_case, decoder_case, run_decoder
from tests.support.truth import gradients
from tests.triton_kernels.comparisons import attention, score
from tests.triton_kernels.launches import Operators, noted

pytestmark = pytest.mark.usefixtures("serves_cpu_tensors")


def cells(x, h, c):
    weights = torch.ones(12, 5), torch.ones(12, 4)
    four = [torch.cat([w, w[:4]]) for w in weights]
    grus = [seq2seq_fast.gru_cell(x, h, *weights, reset_after=after, backend="triton") for after in (True, False)]
    return *grus, *seq2seq_fast.lstm_cell(x, (h, c), *four, backend="triton")


def step():
    case = decoder_case("gru", 2, 1, 5)
    t = SimpleNamespace(**{name: None if x is None else x.detach() for name, x in case.tensors.items()})
    memory = seq2seq_fast.attention_memory(t.keys, t.values)
    seq2seq_fast.attention_decoder_step(
        t.inputs, t.state.unsqueeze(1), memory, t.query_weight, t.v, t.weight_ih, t.weight_hh, t.bias_ih, t.bias_hh,
        query_bias=t.query_bias, backend="triton",
    )  # fmt: skip


def call_every_operator():
    """Forward and backward, in every form that launches other kernels; no number comes out."""
    for queries in (None, 3, 11):
        case = attention_case(2, queries, 37, 8, 6, lengths=[37, 2])
        for function in (attention(case, "triton"), attention(case, "triton", False), score(case, "triton")):
            gradients(function, case.differentiable)
    gradients(cells, [torch.randn(3, n, requires_grad=True) for n in (5, 4, 4)])
    for cell, reset_after in (("gru", True), ("gru", False), ("lstm", True), ("rnn", True)):
        case = decoder_case(cell, 2, 2, 37, lengths=[37, 2], reset_after=reset_after, state_mask=True)
        gradients(lambda *t, options=case.options: run_decoder(t, options, "triton"), list(case.tensors.values()))
    step()


def test_a_launch_contracts_products_and_leaves_nothing_behind():
    before = len(kernel_side_table.id_to_kernel), len(kernel_side_table.constant_args)
    with noted() as launches, Operators() as operators:
        call_every_operator()
    assert operators.seen == set(SCHEMAS)
    assert (len(kernel_side_table.id_to_kernel), len(kernel_side_table.constant_args)) == before
    assert launches and all(launch.options.get("enable_fp_fusion") for launch in launches)


def test_every_launch_is_made_with_the_device_of_its_tensors_current(monkeypatch):
    guards, places = [], []

    @contextlib.contextmanager
    def device_of(tensor):
        guards.append(tensor)
        yield
        guards.pop()

    monkeypatch.setattr(torch.cuda, "device_of", device_of)
    with in_place_of_launches(lambda launch: places.append(len(guards)), traceable=True), Operators() as operators:
        call_every_operator()
    assert operators.seen == set(SCHEMAS)
    assert set(places) == {1} and not guards


class OnSecondDevice(torch.Tensor):
    is_cuda = True

    def get_device(self):
        return 1


def test_the_device_of_the_first_tensor_is_current_while_an_operator_runs_and_no_longer(monkeypatch):
    current = imagined_devices(monkeypatch)

    def function(*arguments):
        return current[0], len(arguments)

    assert launching(function)(None, torch.ones(1).as_subclass(OnSecondDevice), torch.ones(1)) == (1, 3)
    assert launching(function)(torch.ones(1)) == (0, 1)
    assert current == [0]


def test_no_operator_reads_a_number_on_the_host():
    def under_watch(name, function, args):
        with NothingReadOnTheHost():
            return launching(function)(*args)

    with noted(), Operators(under_watch) as operators:
        call_every_operator()
    assert operators.seen == set(SCHEMAS)
