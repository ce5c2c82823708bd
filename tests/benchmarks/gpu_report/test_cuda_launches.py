"""What the GPU report says of the CUDA engine's launches, held against the launchers that ship."""

import dataclasses
import re
import shutil

import pytest
import torch

from benchmarks.gpu_report.cuda.code import instances
from benchmarks.gpu_report.cuda.launches import LAUNCHES, CudaLaunch, RecordingEngine, parameters
from benchmarks.gpu_report.cuda.workloads import operators
from benchmarks.gpu_report.machine_code.devices import RATES
from benchmarks.gpu_report.rows import row_of
from benchmarks.gpu_report.sizes import ATTENTION
from build_support import cuda
from seq2seq_fast.cuda_kernels import OPERATORS
from seq2seq_fast.cuda_kernels.plan import Device, ceil_div
from tests.emulators.cudafiber import module
from tests.support.taken_launches import TakingEngine

# The imaginary device of the tests.
DEVICE = Device(4, 227 * 1024)
DTYPES = (torch.float32, torch.float16, torch.bfloat16)


@pytest.fixture(scope="module")
def taking():
    return TakingEngine(module.module(), module.path())


def both(taking, name, arguments):
    """Launches by the launchers that ship, and by the report."""
    taking.taken, taking.described = [], DEVICE
    recording = RecordingEngine(DEVICE)
    for engine in (taking, recording):
        OPERATORS[name](engine, *arguments)
    return taking.taken, recording.launches


def check(taking, name, *arguments):
    taken, noted = both(taking, name, arguments)
    assert taken, name
    assert [(t.instance, t.shared_bytes) for t in taken] == [(n.instance, n.shared_bytes) for n in noted]
    assert [t.grid for t in taken] == [(*n.grid, 1, 1)[:3] for n in noted]


def source(batch, positions, units, size, dtype):
    lengths = torch.full((batch,), positions)
    return (
        torch.zeros(batch, positions, units, dtype=dtype), torch.zeros(batch, positions, size, dtype=dtype),
        torch.zeros(batch, positions, units), torch.ones(batch, dtype=torch.bool), torch.zeros(units, dtype=dtype),
        lengths, None,
    )  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("queries", [1, 6])
@pytest.mark.parametrize(
    ("batch", "positions", "units", "size"),
    # Of the last ones, four queries find no room in shared memory.
    [(2, 37, 24, 16), (3, 300, 13, 9), (20, 5, 256, 520), (1, 2, 12_000, 16_000)],
)
def test_attentions_launches_are_those_that_ship(taking, dtype, queries, batch, positions, units, size):
    query = torch.zeros(batch, queries, units, dtype=dtype)
    keys, values, exponentials, in_range, v, lengths, mask = source(batch, positions, units, size, dtype)
    of_source = (keys, values, exponentials, in_range, v, lengths, mask)
    weights, logsumexp = torch.zeros(batch, queries, positions), torch.zeros(batch, queries)
    context = torch.zeros(batch, queries, size, dtype=dtype)
    check(taking, "key_exponentials", keys)
    check(taking, "attend_forward", query, *of_source, True)
    scores = torch.zeros(batch, queries, positions, dtype=dtype)
    check(taking, "additive_score_forward", query, keys, exponentials, in_range, v)
    check(taking, "additive_score_backward", scores, query, keys, exponentials, in_range, v, (True,) * 3)
    for kept in (weights, torch.zeros(0)):
        check(taking, "attend_backward", context, None, query, *of_source, context, kept, logsumexp, (True,) * 4)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("wide_state", [False, True])
@pytest.mark.parametrize("hidden", [16, 520, 9])
def test_cells_launches_are_those_that_ship(taking, dtype, wide_state, hidden):
    state = torch.zeros(3, hidden, dtype=torch.float32 if wide_state else dtype)
    gates = {n: torch.zeros(3, n * hidden, dtype=dtype) for n in (1, 2, 3, 4)}
    saved = {n: torch.zeros(3, n * hidden) for n in (1, 2, 3, 4)}
    for name, arguments in {
        "gru_gates_forward": (gates[3], gates[3], state),
        "gru_gates_backward": (state, gates[3], state, saved[4]),
        "gru_reset_forward": (gates[2], gates[2], state),
        "gru_reset_backward": (torch.cat([state, state], 1), state, saved[2]),
        "gru_update_forward": (gates[1], gates[1], state, state),
        "gru_update_backward": (state, state, state, saved[1]),
        "lstm_gates_forward": (gates[4], gates[4], state),
        "lstm_gates_backward": (state, None, state, state, saved[4]),
    }.items():
        check(taking, name, *arguments)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize(("batch", "positions", "units", "hidden"), [(3, 7, 16, 24), (1, 40, 64, 72), (9, 5, 13, 24)])
def test_the_decoders_launches_are_those_that_ship(taking, dtype, cell, batch, positions, units, hidden):
    rows = {"rnn": 1, "gru": 3, "lstm": 4}[cell] * hidden

    def of(*shape, kind=dtype):
        return torch.zeros(shape, dtype=kind)

    keys, values, exponentials, in_range, v, lengths, mask = source(batch, positions, units, 16, dtype)
    state = of(batch, hidden)
    given = (
        of(batch, 2, 5), state, of(batch, hidden) if cell == "lstm" else None, keys, values, exponentials, in_range,
        of(units, hidden), None, v, of(rows, 21), of(rows, hidden), None, None, lengths, mask, None, cell, True,
    )  # fmt: skip
    check(taking, "attention_decoder_forward", *given)
    states, contexts = of(2, batch, hidden), of(2, batch, 16)
    saved = (
        of(2, batch, positions, kind=torch.float32), of(2, batch, hidden, kind=torch.float32),
        of(2, batch, (1 if cell == "rnn" else 4) * hidden, kind=torch.float32), of(2, batch, units, kind=torch.float32),
    )  # fmt: skip
    check(
        taking, "attention_decoder_backward", states, contexts, None, None, *given, states, contexts, *saved,
        (True,) * 12,
    )  # fmt: skip
    expected = "decoder_kernel" if units % 8 == 0 else "attend_kernel"
    _, noted = both(taking, "attention_decoder_forward", given)
    assert noted[0].instance.startswith(expected)


def test_every_launcher_has_names_for_what_it_is_given():
    assert set(parameters()) - {"device_limits"} == set(LAUNCHES)
    assert parameters()["attend_backward_softmax"] == (
        "weights", "grads", "logsumexp", "lengths", "mask", "batch", "queries", "positions",
    )  # fmt: skip


def test_the_report_has_every_kernel_that_there_is():
    found = {launch.name for one in operators(RATES["H100"], [torch.float32]) for launch in one.launches}
    declared = {f"{path.stem}.{name}" for path in cuda.SOURCES.glob("*.cu") for name in _declared(path.read_text())}
    assert found == declared


def _declared(text):
    return re.findall(r"^__global__ void __launch_bounds__\([^)]*\)\s+(\w+_kernel)\(", text, re.MULTILINE)


def test_a_source_is_split_for_the_device_that_the_report_is_about():
    few, many = (operators(dataclasses.replace(RATES["A100"], multiprocessors=n), [torch.float32]) for n in (8, 512))
    grids = [next(one.launches[0].grid for one in passes if one.name == "one query, forward") for passes in (few, many)]
    batch, _, positions, *_ = ATTENTION["one query"]
    # A warp takes four positions at once, so no block gets fewer than 16.
    assert grids == [(batch,), (batch * ceil_div(positions, 16),)]


def test_one_query_reads_each_key_once():
    (forward, *_) = operators(RATES["H100"], [torch.float32])
    (launch,) = [launch for launch in forward.launches if "attend_kernel" in launch.instance]
    assert isinstance(launch, CudaLaunch)
    assert launch.moved["exponentials"] == 4 * 64 * 50 * 512 and "keys" not in launch.moved
    assert launch.moved["values"] == 4 * 64 * 50 * 1024
    assert forward.least_bytes >= launch.moved["exponentials"] + launch.moved["values"]


def test_kernels_are_known_by_their_instance():
    mangled = (
        "_ZN12seq2seq_fast54_GLOBAL__N__84f5c7ae_21_additive_attention_cu_b2f1956b13attend_kernelIfLi4ELi1EEEvNS0_6Attend"
        "IT_EEi"
    )
    assert instances([mangled, "other"]) == ["attend_kernel<float, 4, 1>", "other"]


@pytest.mark.prove
@pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc is not installed")
def test_a_kernels_machine_code_is_found_and_counted_by_its_instance():
    (forward, *_) = operators(RATES["H100"], [torch.float32])
    row = row_of(forward, forward.launches[0], forward.launches[0].compile(90), RATES["H100"])
    assert (row.kernel, row.engine, row.architecture) == ("additive_attention.attend", "cuda", "sm_90")
    # Two units share a reciprocal: two multiplications of denominators and numerators, a denominator each, two sums.
    assert row.special_per_unit == 0.5 and row.fp32_per_unit == 3
    assert row.loop_loads == "4x16" and row.spill_bytes == 0 and row.occupancy > 0
    assert row.shared_bytes == forward.launches[0].shared_bytes > 0
