"""What only a GPU has: graphs, streams, several devices, refused launches. Elsewhere the same bodies run on a stand-in.

The stand-in is the CUDA engine's kernels under g++; a graph is there a function that is called again, a stream nothing.
"""

import contextlib
import dataclasses
import functools

import pytest
import torch

import seq2seq_fast
from seq2seq_fast.cuda_kernels import attention_decoder
from seq2seq_fast.cuda_kernels.engine import Engine
from seq2seq_fast.cuda_kernels.plan import plan_decoder
from seq2seq_fast.cuda_kernels.plan_backward import plan_decoder_backward
from tests.emulators.cudafiber.module import module
from tests.ops.test_attention_decoder import assert_true
from tests.support import engines
from tests.support.cases import attention_case, decoder_case, run_decoder
from tests.support.emulated import emulated


class OnGpu:
    """Work on the current CUDA device."""

    device = "cuda"

    def __init__(self, backend):
        self.backend = backend

    def module(self):
        import seq2seq_fast._cuda

        return seq2seq_fast._cuda

    def captured(self, work):
        """What a call of `work` gives, in a graph; and what replays it."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(2):  # what compiles or is loaded on a first call cannot be captured
                work()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs = work()
        return outputs, graph.replay

    def graphed(self, model, samples):
        return torch.cuda.make_graphed_callables(model, samples)

    def while_the_first_stream_is_busy(self, work):
        """What `work` gives on another stream, and whether the first one was still busy when it was done."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            work()  # memory from the driver would stop the device
        torch.cuda.synchronize()
        torch.cuda._sleep(2_000_000_000)  # cycles: about a second
        behind = torch.cuda.Event()
        behind.record()
        with torch.cuda.stream(side):
            outputs = work()
            side.synchronize()
        busy = not behind.query()
        torch.cuda.synchronize()
        return outputs, busy


class StandIn:
    """The same on the CPU."""

    device = "cpu"

    def __init__(self):
        self.backend = emulated().backend

    def module(self):
        return module()

    def captured(self, work):
        outputs = work()

        def replay():
            for held, new in zip(outputs, work(), strict=True):
                held.copy_(new)

        return outputs, replay

    def graphed(self, model, samples):
        return model

    def while_the_first_stream_is_busy(self, work):
        return work(), True


@pytest.fixture(params=["stand-in", "cuda", "triton"])
def where(request):
    if request.param == "stand-in":
        return StandIn()
    status = seq2seq_fast.backends()[request.param]
    if not status.usable or not torch.cuda.is_available():
        pytest.skip(status.reason if not status.usable else "torch sees no CUDA device")
    return OnGpu(request.param)


def on_one_launch(cell, where, seed=0):
    """Sizes at which the CUDA engine runs all positions in one launch."""
    return decoder_case(
        cell, 5, 3, 9, 6, 32, 24, 12, dtype=torch.bfloat16, device=where.device, seed=seed, state_mask=True,
        lengths=[9, 1, 0, 4, 9],
    )  # fmt: skip


def by_position(cell, where, seed=0, reset_after=True):
    """Sizes of which it runs a few launches a position."""
    return decoder_case(
        cell, 3, 3, 7, 4, 13, 9, 5, device=where.device, seed=seed, reset_after=reset_after, lengths=[7, 2, 0]
    )


def decoder(make):
    def inputs(where, seed):
        case = make(where=where, seed=seed)
        return list(case.tensors.values()), lambda *t: run_decoder(list(t), case.options, where.backend)

    return inputs


def attention(queries):
    def inputs(where, seed):
        case = attention_case(3, queries, 40, 24, 16, device=where.device, lengths=[40, 3, 0], seed=seed)

        def function(*tensors):
            return seq2seq_fast.additive_attention(*tensors, lengths=case.lengths, backend=where.backend)

        return case.differentiable, function

    return inputs


def cell(form):
    def inputs(where, seed):
        generator = torch.Generator().manual_seed(seed)
        rows = (4 if form == "lstm" else 3) * 16
        shapes = [(5, 8), (5, 16), *([(5, 16)] if form == "lstm" else []), (rows, 8), (rows, 16), (rows,), (rows,)]
        tensors = [torch.randn(shape, generator=generator).to(where.device).requires_grad_() for shape in shapes]

        def function(*t):
            if form == "lstm":
                return seq2seq_fast.lstm_cell(t[0], (t[1], t[2]), *t[3:], backend=where.backend)
            return [seq2seq_fast.gru_cell(*t, reset_after=form == "gru", backend=where.backend)]

        return tensors, function

    return inputs


WORK = {
    "attention of one query": attention(1),
    "attention of many queries": attention(6),
    "gru cell": cell("gru"),
    "gru cell, reset first": cell("gru, reset first"),
    "lstm cell": cell("lstm"),
    **{f"decoder in one launch, {c}": decoder(functools.partial(on_one_launch, c)) for c in ("rnn", "gru", "lstm")},
    **{f"decoder by position, {c}": decoder(functools.partial(by_position, c)) for c in ("gru", "lstm")},
    "decoder by position, reset first": decoder(functools.partial(by_position, "gru", reset_after=False)),
}
each_work = pytest.mark.parametrize("work", WORK.values(), ids=WORK)


def passes(tensors, function):
    """Forward and backward as one function of no arguments."""
    leaves = [t for t in tensors if t is not None]

    def run():
        outputs = [o for o in function(*tensors) if o is not None]
        cotangents = [torch.ones_like(o) for o in outputs]
        return [o.detach() for o in outputs] + list(torch.autograd.grad(outputs, leaves, cotangents))

    return run


@each_work
def test_a_captured_pass_replays_on_other_numbers(where, work):
    tensors, function = work(where, 0)
    others, _ = work(where, 1)
    outputs, replay = where.captured(passes(tensors, function))
    with torch.no_grad():
        for held, other in zip(tensors, others, strict=True):
            if held is not None:
                held.copy_(other)
    replay()
    found = [t.clone() for t in outputs]
    for a, b in zip(found, passes(tensors, function)(), strict=True):
        assert torch.equal(a, b)


@each_work
def test_two_runs_give_the_same_bits(where, work):
    run = passes(*work(where, 0))
    for a, b in zip(run(), run(), strict=True):
        assert torch.equal(a, b)


@each_work
def test_work_goes_to_the_current_stream(where, work):
    run = passes(*work(where, 0))
    wanted = run()
    found, first_was_busy = where.while_the_first_stream_is_busy(run)
    assert first_was_busy
    for a, b in zip(found, wanted, strict=True):
        assert torch.equal(a, b)


class Decoding(torch.nn.Module):
    """A decoder as a model holds it."""

    def __init__(self, case, backend):
        super().__init__()
        names = ("query_weight", "query_bias", "v", "weight_ih", "weight_hh", "bias_ih", "bias_hh")
        self.weights = torch.nn.ParameterDict({name: case.tensors[name].detach().clone() for name in names})
        self.options, self.backend = case.options, backend

    def forward(self, inputs, state, keys, values):
        w = self.weights
        output = seq2seq_fast.attention_decoder(
            inputs, state, keys, values, w["query_weight"], w["v"], w["weight_ih"], w["weight_hh"], w["bias_ih"],
            w["bias_hh"], query_bias=w["query_bias"], backend=self.backend, **self.options,
        )  # fmt: skip
        return output.states, output.contexts


@pytest.mark.parametrize("make", [on_one_launch, by_position])
def test_a_graphed_model_trains_as_one_that_is_not(where, make):
    case = make("gru", where)
    given = [case.tensors[name] for name in ("inputs", "state", "keys", "values")]
    plain, model = Decoding(case, where.backend), Decoding(case, where.backend)

    def step(module):
        outputs = module(*given)
        leaves = [*module.parameters(), *given]
        return [*outputs, *torch.autograd.grad(outputs, leaves, [torch.ones_like(o) for o in outputs])]

    wanted = step(plain)
    graphed = where.graphed(model, tuple(t.detach().clone().requires_grad_() for t in given))
    for _ in range(2):
        for a, b in zip(step(graphed), wanted, strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_the_sizes_that_suit_one_launch_are_run_in_one(where, cell):
    if where.backend == "triton":
        pytest.skip("the Triton engine has no decoder in one launch")
    engine = Engine(where.module())
    case = on_one_launch(cell, where)
    device = engine.device(case.tensors["inputs"])
    for planner in (plan_decoder, plan_decoder_backward):
        plan = planner(device, cell=cell, reset_after=True, batch=5, positions=9, units=24, hidden=32, itemsize=2)
        assert plan.fits, plan.reason


@pytest.mark.parametrize("make", [on_one_launch, by_position])
def test_tensors_of_another_device_than_the_current_one_are_served_there(where, make):
    if where.device == "cuda" and torch.cuda.device_count() < 2:
        pytest.skip("there is one CUDA device")
    if where.device == "cuda":
        where.device = "cuda:1"
        assert torch.cuda.current_device() == 0
    engine = engines.Engine(where.backend, where.device)
    assert_true(make("gru", where), engine, error=3e-5, roundings=12)
    if where.device == "cuda:1":
        assert torch.cuda.current_device() == 0


def test_a_refused_launch_names_its_launcher(where):
    if where.backend == "triton":
        pytest.skip("Triton names its kernels itself")
    gates, hidden = torch.zeros(2, 32, device=where.device), torch.zeros(2, 8, device=where.device)
    results = (torch.empty_like(hidden), torch.empty_like(hidden), torch.empty_like(gates))
    rows = (gates, 32, gates, 32, hidden, 8, *results, 2, 8)
    with pytest.raises(RuntimeError, match=r"^lstm_gates_forward: \w+"):
        Engine(where.module()).launch("lstm_gates_forward", gates, 9, 9, *rows)
    # A refusal is over with its exception: what follows is served.
    Engine(where.module()).launch("lstm_gates_forward", gates, 0, 0, *rows)
    assert bool((results[2][:, :16] == 0.5).all())


def test_more_blocks_than_find_room_at_once_are_refused_by_name(where):
    """A grid whose blocks wait for each other must be whole on the device, or it would wait forever."""
    if not isinstance(where, OnGpu) or where.backend == "triton":
        pytest.skip("only a GPU refuses a cooperative launch")
    case = on_one_launch("gru", where)
    with pytest.raises(RuntimeError, match=r"^attention_decoder_forward: "), _blocks(1_000_000):
        run_decoder(list(case.tensors.values()), case.options, where.backend)


@contextlib.contextmanager
def _blocks(count):
    """Plans ask for this many blocks."""
    original = attention_decoder.plan_of

    def planned(*arguments):
        return dataclasses.replace(original(*arguments), blocks=count)

    attention_decoder.plan_of = planned
    try:
        yield
    finally:
        attention_decoder.plan_of = original
