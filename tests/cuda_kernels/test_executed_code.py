"""The PTX that nvcc makes of every kernel, executed at the launches that ship, against float64 truth.

Blocks run in a permuted order; NaN lies in shared memory and registers that were not written. Each case says which
instances of which kernels it runs, and the last test that together they are all that there are, but for the exempt.
"""

import functools
import itertools
import shutil
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch

import seq2seq_fast
from build_support import cuda
from tests.support import executed_ptx
from tests.support.cases import attention_case, decoder_case, run_decoder
from tests.support.truth import assert_near, double, gradients, score_error

pytestmark = pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc is not installed")

# The whole recurrence in one cooperative launch: blocks wait for each other, products are tensor cores'. The fibers,
# the sanitizers and the mutants of its barriers are what proves these.
EXEMPT = ("decoder_kernel", "reversed_decoder_kernel")
DTYPES = {"float": torch.float32, "__half": torch.float16, "__nv_bfloat16": torch.bfloat16}
WIDTHS = {"float": 4, "__half": 8, "__nv_bfloat16": 8}


class Case(NamedTuple):
    name: str
    run: Callable[[], None]
    kernels: frozenset[str]
    quick: bool = False


def attend(case, need_weights=True):
    def function(backend):
        return lambda query, keys, values, v: seq2seq_fast.additive_attention(
            query, keys, values, v, lengths=case.lengths, mask=case.mask, need_weights=need_weights, backend=backend
        )

    return function


def score(case):
    def function(backend):
        return lambda query, keys, values, v: [
            seq2seq_fast.additive_score(query, seq2seq_fast.attention_memory(keys, values), v, backend=backend)
        ]

    return function


def compare(function, tensors, error, roundings=4):
    found, grads = gradients(function(executed_ptx.BACKEND), tensors)
    truth, true_grads = gradients(function("reference"), double(tensors))
    for a, b in zip(found, truth, strict=True):
        assert_near(a, b, error=error, roundings=roundings, name="output")
    for a, b in zip(grads, true_grads, strict=True):
        assert_near(a, b, error=8 * error, roundings=2 * roundings, name="gradient")


def with_room_for_one_query(run):
    engine = executed_ptx.engine()
    room, engine.shared_bytes = engine.shared_bytes, 0
    try:
        run()
    finally:
        engine.shared_bytes = room


def names(pattern, *instances):
    return {f"{pattern}<{', '.join(map(str, instance))}>" for instance in instances}


def attention_cases():
    for dtype, vectors, queries in itertools.product(DTYPES, (True, False), (1, 5)):
        w, q = WIDTHS[dtype] if vectors else 1, 1 if queries == 1 else 4
        units, size = (24, 16) if vectors else (13, 9)
        case = attention_case(2, queries, 37, units, size, dtype=DTYPES[dtype], lengths=[37, 5])
        error = 4 * score_error(case.v)
        name = f"{dtype}-{units}-{queries}"
        exponentials = names("key_exponentials_kernel", (dtype, w))
        scores = names("score_backward_kernel", (dtype, w, q), (dtype, w, 4))
        kernels = names("attend_kernel", (dtype, w, q)) | names("combine_kernel", (dtype,)) | exponentials | scores
        kernels |= names("weights_backward_kernel", (dtype, w, q)) | names("values_backward_kernel", (dtype, w, 4))
        kernels |= {"softmax_backward_kernel"}
        attention = functools.partial(compare, attend(case), case.differentiable, error)
        yield Case(f"attention-{name}", attention, frozenset(kernels))
        if queries > 1:
            again = names("score_kernel", ("false", dtype, "float", w, 4))
            recomputed = functools.partial(compare, attend(case, False), case.differentiable, error)
            yield Case(f"attention-without-weights-{name}", recomputed, frozenset(kernels | again))
            alone = names("attend_kernel", (dtype, w, 1)) | names("score_kernel", ("false", dtype, "float", w, 1))
            alone |= names("weights_backward_kernel", (dtype, w, 1)) | {k for k in kernels if f"{w}, 4>" not in k}
            alone |= names("values_backward_kernel", (dtype, w, 4)) | names("score_backward_kernel", (dtype, w, 4))
            no_room = functools.partial(with_room_for_one_query, recomputed)
            yield Case(f"attention-a-query-a-block-{name}", no_room, frozenset(alone))
        alone = functools.partial(compare, score(case), case.differentiable, error)
        kernels = names("score_kernel", ("true", dtype, dtype, w, q)) | scores
        yield Case(f"score-{name}", alone, frozenset(kernels), name == "float-24-1")


def gru(reset_after):
    return lambda backend: lambda *t: [seq2seq_fast.gru_cell(*t, reset_after=reset_after, backend=backend)]


def lstm(backend):
    return lambda x, h, c, *weights: seq2seq_fast.lstm_cell(x, (h, c), *weights, backend=backend)


def cell_cases():
    """States are of the inputs' dtype, or of float where a recurrence carries it."""
    for dtype, state, size in itertools.product(DTYPES, DTYPES, (16, 9)):
        if state not in (dtype, "float"):
            continue
        w, of_state = (WIDTHS[dtype], WIDTHS[state]) if size == 16 else (1, 1)
        name, both, alone = f"{dtype}-{state}-{size}", (w, dtype, state), (of_state, state)
        after = names("gru_gates_kernel", both) | names("gru_gates_backward_kernel", both)
        before = names("gru_reset_kernel", both) | names("gru_update_kernel", both)
        before |= names("gru_reset_backward_kernel", alone) | names("gru_update_backward_kernel", alone)
        gates = names("lstm_gates_kernel", both) | names("lstm_gates_backward_kernel", alone)
        for form, function, states, kernels in (
            ("gru", gru(True), 1, after), ("gru-before", gru(False), 1, before), ("lstm", lstm, 2, gates),
        ):  # fmt: skip
            shapes = [(3, 5), *[(3, size)] * states]
            rows = (4 if form == "lstm" else 3) * size
            generator = torch.Generator().manual_seed(0)
            tensors = [
                torch.randn(shape, generator=generator).to(DTYPES[state if 0 < i <= states else dtype]).requires_grad_()
                for i, shape in enumerate([*shapes, (rows, 5), (rows, size), (rows,), (rows,)])
            ]
            # Where the state is wider than the gates, the products' rounding is not that of the output's dtype.
            error = 1e-5 if state == dtype else 4 * torch.finfo(DTYPES[dtype]).eps
            run = functools.partial(compare, function, tensors, error)
            yield Case(f"{form}-{name}", run, frozenset(kernels), form == "lstm" and dtype == "float" and size == 16)


def decoder_cases():
    for form, reset_after in (("gru", True), ("gru", False), ("lstm", True)):
        case = decoder_case(form, 3, 2, 21, 3, 16, 8, 8, reset_after=reset_after, state_mask=True, lengths=[21, 0, 9])
        pieces = ("gru_gates",) if reset_after else ("gru_reset", "gru_update")
        pieces = ("lstm_gates",) if form == "lstm" else pieces

        def decode(backend, case=case):
            wide = {
                k: v.double() if backend == "reference" and torch.is_tensor(v) and v.is_floating_point() else v
                for k, v in case.options.items()
            }
            return lambda *t: [o for o in run_decoder(list(t), wide, backend) if o is not None]

        run = functools.partial(compare, decode, list(case.tensors.values()), 3e-5, 12)
        cells = {instance for piece in pieces for instance in DECODER_KERNELS[piece]}
        yield Case(f"decoder-{form}{'' if reset_after else '-before'}", run, frozenset(cells | DECODER_ATTENTION))


DECODER_KERNELS = {
    "gru_gates": names("gru_gates_kernel", (4, "float", "float"))
    | names("gru_gates_backward_kernel", (4, "float", "float")),
    "gru_reset": names("gru_reset_kernel", (4, "float", "float")) | names("gru_reset_backward_kernel", (4, "float")),
    "gru_update": names("gru_update_kernel", (4, "float", "float")) | names("gru_update_backward_kernel", (4, "float")),
    "lstm_gates": names("lstm_gates_kernel", (4, "float", "float")) | names("lstm_gates_backward_kernel", (4, "float")),
}
DECODER_ATTENTION = (
    names("attend_kernel", ("float", 4, 1)) | names("combine_kernel", ("float",))
    | names("key_exponentials_kernel", ("float", 4)) | names("weights_backward_kernel", ("float", 4, 1))
    | names("score_backward_kernel", ("float", 4, 1), ("float", 4, 4))
    | names("values_backward_kernel", ("float", 4, 4)) | {"softmax_backward_kernel"}
)  # fmt: skip
CASES = [*attention_cases(), *cell_cases(), *decoder_cases()]


@pytest.mark.parametrize(
    "case", [pytest.param(c, id=c.name, marks=[] if c.quick else pytest.mark.prove) for c in CASES]
)
def test_the_code_agrees_with_float64_truth(case):
    engine = executed_ptx.engine()
    engine.executed.clear()
    case.run()
    assert engine.executed == case.kernels


@pytest.mark.parametrize(("dtype", "more_than_least"), [("float", 1.0), ("__nv_bfloat16", 2.0)])
def test_queries_and_v_are_read_with_few_meetings_in_banks(dtype, more_than_least):
    """A lane's four floats meet nobody's; of eight, in two accesses, a quarter of a warp reads half the banks twice."""
    engine = executed_ptx.engine()
    case = attention_case(1, 1, 4, 512, 16, dtype=DTYPES[dtype])
    engine.reports = {}
    try:
        with torch.no_grad():
            attend(case)(executed_ptx.BACKEND)(*case.differentiable)
        banks = engine.reports[f"attend_kernel<{dtype}, {WIDTHS[dtype]}, 1>"].banks
    finally:
        engine.reports = None
    assert 1.0 <= banks.rounds / banks.least <= more_than_least, (banks.rounds, banks.least)


@pytest.mark.prove
def test_no_kernel_is_left_out():
    everything = {name for source in cuda.SOURCES.glob("*.cu") for name in executed_ptx.kernels_of(source)}
    exempt = {name for name in everything if name.partition("<")[0] in EXEMPT}
    assert everything - exempt == frozenset().union(*(case.kernels for case in CASES))
