import pytest
import torch

from benchmarks import limits, registry
from benchmarks.limits import Traffic, cache_bytes
from benchmarks.workload import Draw
from benchmarks.workloads.encoder import spread_lengths
from benchmarks.workloads.model import sources_kept

DRAW = Draw(torch.float32, torch.device("cpu"))


@pytest.mark.parametrize("workload", registry.WORKLOADS, ids=lambda workload: workload.name)
def test_every_workload_declares_a_limit_that_runs(workload):
    limit = workload.scaled(32).limit(workload.scaled(32).sizes, DRAW)
    assert limit.kind in ("bytes", "arithmetic", "products")
    limit.forward()
    limit.training_forward()
    limit.backward()


@pytest.mark.parametrize("layout", ["nn", "nt", "tn", "tt"])
def test_a_product_has_its_shape_and_writes_where_it_was_told(layout):
    run = limits.product(DRAW, 3, 5, 2, layout)
    out = run()
    assert out.shape == (3, 2)
    assert run().data_ptr() == out.data_ptr()


@pytest.mark.parametrize("traffic", [Traffic(7, 3), Traffic(3, 7), Traffic(4, 4), Traffic(5, 0)])
def test_one_pass_reads_and_writes_as_many_elements_as_it_says(traffic, monkeypatch):
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
    one = limits.one_pass(lambda sizes: traffic)({}, DRAW).forward
    one.source, one.target = one.source.as_subclass(Counted), one.target.as_subclass(Counted)
    for _ in range(9):
        one()
    assert moved == {"read": 9 * traffic.read, "written": 9 * traffic.written}


def test_arithmetic_is_a_product_of_as_many_operations():
    run = limits.arithmetic(lambda sizes: 2 * 512 * 512 * 6, lambda sizes: 1)({}, DRAW)
    assert run.forward().shape == (6, 512)


def test_decoder_products_are_the_straightforward_ones():
    sizes = {"batch": 2, "source": 3, "target": 4, "hidden": 5, "units": 6, "embedding": 7, "values": 8}
    decoder = registry.select(["attention_decoder/80x15x15"])[0]
    limit = decoder.limit(sizes, DRAW)
    with torch.profiler.profile(record_shapes=True) as forward:
        limit.forward()
    with torch.profiler.profile(record_shapes=True) as backward:
        limit.backward()
    rows = sizes["batch"] * sizes["target"]
    assert _products(forward) == sorted([(rows, 7, 15), *[(2, 5, 21)] * 4, *[(2, 8, 15)] * 4])
    after = [(21, rows, 5), (15, rows, 7), (15, rows, 8), (rows, 15, 7)]
    assert _products(backward) == sorted([*[(2, 15, 8)] * 4, *[(2, 21, 5)] * 4, *after])


def _products(profile):
    shapes = [event.input_shapes for event in profile.events() if event.name == "aten::mm"]
    return sorted((left[0], left[1], right[1]) for left, right, *_ in shapes)


def test_cache_size_is_known():
    assert cache_bytes(torch.device("cpu")) >= 2**18


def test_lengths_spread_from_the_longest_down():
    assert spread_lengths(5, 16).tolist() == [16, 15, 14, 13, 12]


def test_a_search_drops_sources_when_an_eighth_are_done():
    assert list(sources_kept([3, 3, 2, 1])) == [4, 3, 2]
    assert list(sources_kept([2] * 16 + [1])) == [17, 17]
