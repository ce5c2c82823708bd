import pytest
import torch

from benchmarks import limits, registry
from benchmarks.limits import limit_of
from benchmarks.workloads.encoder import spread_lengths
from benchmarks.workloads.model import sources_kept
from seq2seq_fast.cases import BY_NAME, Draw, Work
from seq2seq_fast.cases.attention_decoder import backward_products, forward_products
from seq2seq_fast.cases.evaluate import call, on
from seq2seq_fast.cases.operator import Product

DRAW = Draw(torch.float32, torch.device("cpu"))


@pytest.mark.parametrize("workload", registry.WORKLOADS, ids=lambda workload: workload.name)
def test_every_workload_has_a_limit_that_runs(workload):
    operator, case = workload.operator, workload.scaled(32).case
    inputs = operator.inputs(case, DRAW)
    outputs = call(operator, inputs, on(operator, "reference"))
    limit = limit_of(operator, case.sizes, inputs, outputs, DRAW)
    for mode, phases in (("inference", 1), ("training", 2)):
        assert len(limit.phases(mode, 0)) == phases
        for phase in limit.phases(mode, 0):
            phase()


@pytest.mark.parametrize("layout", ["nn", "nt", "tn", "tt"])
def test_a_product_has_its_shape_and_writes_where_it_was_told(layout):
    run = limits.product(Product(3, 5, 2, layout), DRAW)
    out = run()
    assert out.shape == (3, 2)
    assert run().data_ptr() == out.data_ptr()


@pytest.mark.parametrize("work", [Work(7, 3), Work(3, 7), Work(4, 4), Work(5, 0)])
def test_one_pass_reads_and_writes_as_many_elements_as_it_says(work, monkeypatch):
    monkeypatch.setattr(limits, "cache_bytes", lambda device: 40)
    moved = {"read": 0, "written": 0}
    add = torch.add

    def counted(source, other, out):
        moved["read"] += source.numel()
        moved["written"] += out.numel()
        return add(source, other, out=out)

    class Counted(torch.Tensor):
        def sum(self):
            moved["read"] += self.numel()

        def fill_(self, value):
            moved["written"] += self.numel()

    monkeypatch.setattr(torch, "add", counted)
    one = limits._Pass(work, DRAW)
    one.source, one.target = one.source.as_subclass(Counted), one.target.as_subclass(Counted)
    for _ in range(9):
        one()
    assert moved == {"read": 9 * work.read, "written": 9 * work.written}


def test_arithmetic_is_a_product_of_as_many_operations():
    run = limits.arithmetic(Work(operations=2 * 512 * 512 * 6), DRAW)
    assert run().shape == (6, 512)


def test_decoder_products_are_the_straightforward_ones():
    sizes = {"batch": 2, "source": 3, "target": 4, "hidden": 5, "units": 6, "embedding": 7, "values": 8}
    with torch.profiler.profile(record_shapes=True) as forward:
        limits.products(Work(products=forward_products(sizes, "gru")), DRAW)()
    with torch.profiler.profile(record_shapes=True) as backward:
        limits.products(Work(products=backward_products(sizes, "gru")), DRAW)()
    rows = sizes["batch"] * sizes["target"]
    assert _products(forward) == sorted([(rows, 7, 15), *[(2, 5, 21)] * 4, *[(2, 8, 15)] * 4])
    after = [(21, rows, 5), (15, rows, 7), (15, rows, 8), (rows, 15, 7)]
    assert _products(backward) == sorted([*[(2, 15, 8)] * 4, *[(2, 21, 5)] * 4, *after])


def _products(profile):
    shapes = [event.input_shapes for event in profile.events() if event.name == "aten::mm"]
    return sorted((left[0], left[1], right[1]) for left, right, *_ in shapes)


def bytes_of(name, **sizes):
    operator = BY_NAME[name]
    case = operator.case([sizes[size] for size in operator.size_names])
    inputs = operator.inputs(case, DRAW)
    outputs = call(operator, inputs, on(operator, "reference"))
    passes = [operator.forward_work(case.sizes, inputs, outputs, training) for training in (False, True)]
    return [(work.read, work.written) for work in (*passes, operator.backward_work(case.sizes, inputs, outputs))]


def test_the_bytes_of_attention_and_of_gates_are_those_counted_by_hand():
    b, t, a, d = 3, 5, 7, 11
    source, one = b * t * (a + d) + b * a + a, b * (d + t)
    assert bytes_of("attend", batch=b, source=t, units=a, values=d) == [
        (source, one), (source, one), (source + 2 * one, source),
    ]  # fmt: skip
    n = 2 * 3
    assert bytes_of("gru_gates", batch=2, hidden=3) == [(7 * n, n), (7 * n, 4 * n), (6 * n, 7 * n)]
    assert bytes_of("lstm_gates", batch=2, hidden=3) == [(9 * n, 2 * n), (9 * n, 6 * n), (8 * n, 5 * n)]
    rows = b * t
    assert bytes_of("attention_memory", batch=b, source=t, units=a, values=d)[0] == (rows * (a + d), rows * (2 * a + d))


def test_lengths_spread_from_the_longest_down():
    assert spread_lengths(5, 16).tolist() == [16, 15, 14, 13, 12]


def test_a_search_drops_sources_when_an_eighth_are_done():
    assert list(sources_kept([3, 3, 2, 1])) == [4, 3, 2]
    assert list(sources_kept([2] * 16 + [1])) == [17, 17]
