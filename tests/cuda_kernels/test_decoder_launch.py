"""The decoder in one launch against float64 truth: every way in which a plan may lay it out, under g++ and on a GPU."""

import pytest
import torch

from seq2seq_fast.cuda_kernels import attention_decoder, attention_decoder_backward
from seq2seq_fast.cuda_kernels.decoder_launch import plan_of
from seq2seq_fast.cuda_kernels.plan import Device, product_stride, shared_bytes
from seq2seq_fast.cuda_kernels.plan_backward import backward_shared_bytes, part_depth
from tests.emulators.cudafiber.module import module
from tests.ops.test_attention_decoder import assert_true
from tests.support.cases import decoder_case, misplaced, run_decoder
from tests.support.truth import assert_near, double, gradients

ROOM = 227 * 1024
# cell, sizes (batch, target, source, embedding, hidden, units, values), multiprocessors, bytes of shared memory,
# then slices and whether keys stay in shared memory, as the plan must have them
LAYOUTS = {
    "a block a source": ("gru", (3, 3, 11, 5, 40, 24, 9), 3, ROOM, 1, True),
    "several blocks a source": ("lstm", (2, 2, 7, 4, 72, 16, 6), 6, ROOM, 3, True),
    "several sources a block": ("gru", (5, 2, 6, 3, 16, 8, 5), 2, ROOM, 1, False),
    "no room for keys": ("gru", (2, 2, 33, 3, 32, 64, 5), 2, 25000, 1, False),
    "more rows than one product takes": ("lstm", (2, 2, 3, 2, 24, 8, 4), 1, ROOM, 1, False),
    "a cell without gates": ("rnn", (3, 3, 5, 3, 24, 16, 4), 4, ROOM, 1, True),
}


@pytest.fixture
def one_launch(monkeypatch):
    """Plans for a device of this size; the list of plans by which something ran."""
    plans = []

    def use(multiprocessors, room=ROOM):
        def planned(engine, *arguments):
            with monkeypatch.context() as patch:
                patch.setattr(engine, "device", lambda like: Device(multiprocessors, room))
                plan = plan_of(engine, *arguments)
            assert plan.fits, plan.reason
            plans.append(plan)
            return plan

        for place in (attention_decoder, attention_decoder_backward):
            monkeypatch.setattr(place, "plan_of", planned)
        return plans

    return use


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_matches_truth(layout, dtype, one_launch, poisoned, engine):
    cell, sizes, multiprocessors, room, slices, keys_resident = LAYOUTS[layout]
    plans = one_launch(multiprocessors, room)
    source = sizes[2]
    lengths = [source, source // 2, 0, 1, source][: sizes[0]]
    case = decoder_case(cell, *sizes, dtype=dtype, device=engine.device, state_mask=True, lengths=lengths)
    assert_true(case, engine, error=3e-5, roundings=12)
    assert plans[0].slices == slices and plans[0].keys_resident == keys_resident
    assert len({plan.parts for plan in plans}) == (2 if multiprocessors > 1 else 1)  # forward has one, backward several


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("scale", [1.0, 60.0])
def test_keys_at_any_address_are_read_where_they_do_not_stay_in_shared_memory(dtype, scale, one_launch, engine):
    cell, sizes, multiprocessors, room, _, _ = LAYOUTS["no room for keys"]
    one_launch(multiprocessors, room)
    case = decoder_case(cell, *sizes, dtype=dtype, device=engine.device, scale=scale)
    case.tensors = {name: misplaced(tensor) for name, tensor in case.tensors.items()}
    assert_true(case, engine, error=3e-5 if scale == 1.0 else 2e-3, roundings=12)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_gradients_of_peaked_attention_are_as_exact_as_of_any_other(cell, one_launch, engine):
    plans = one_launch(3)
    case = decoder_case(cell, 3, 2, 9, 3, 16, 16, 8, device=engine.device)
    with torch.no_grad():  # one position of each source has nearly all of the weight
        case.tensors["query_weight"].mul_(0.1)
        case.tensors["query_bias"].mul_(0.1)
        case.tensors["v"].sign_()
        case.tensors["keys"].copy_(-0.4 * case.tensors["v"].expand(3, 9, 16))
        case.tensors["keys"][:, 4] *= -1
        case.tensors["keys"].add_(0.1 * torch.randn(3, 9, 16, device=engine.device))
    tensors = list(case.tensors.values())
    found, grads = gradients(lambda *t: run_decoder(list(t), case.options, engine.backend), tensors)
    _, true_grads = gradients(lambda *t: run_decoder(list(t), case.options, "reference"), double(tensors))
    names = [name for name, tensor in case.tensors.items() if tensor is not None]
    assert len(plans) == 2 and 0.999 < float(found[2].detach()[..., 4].min()) < 1.0
    for name, grad, truth in zip(names, grads, true_grads, strict=True):
        if name in ("keys", "v", "query_weight", "query_bias"):  # only the weights have a gradient for these
            assert_near(grad, truth, error=1e-4, name=f"gradient of {name}")


def test_half_precision_and_a_mask_without_biases(one_launch, engine):
    one_launch(2)
    mask = torch.rand(17, 5, generator=torch.Generator().manual_seed(3)) > 0.4
    case = decoder_case(
        "lstm", 17, 2, 5, 3, 8, 16, 4, dtype=torch.float16, device=engine.device, biases=False, mask=mask.tolist()
    )
    assert_true(case, engine, error=3e-5, roundings=12)


@pytest.mark.parametrize("scale", [30.0, 60.0])
def test_queries_and_keys_out_of_the_exponentials_range_match_truth(scale, one_launch, engine):
    one_launch(3)
    assert_true(
        decoder_case("gru", 3, 2, 5, 3, 8, 8, 4, device=engine.device, scale=scale), engine, error=2e-3, roundings=12
    )


def test_nan_in_one_sentence_stays_there(one_launch, engine):
    one_launch(3)
    case = decoder_case("gru", 3, 3, 5, 3, 16, 8, 4, device=engine.device)
    clean = run_decoder(list(case.tensors.values()), case.options, engine.backend)
    with torch.no_grad():
        case.tensors["keys"][1, 2, 3] = float("nan")
    found = run_decoder(list(case.tensors.values()), case.options, engine.backend)
    assert bool(found[0][1].isnan().all())
    for a, b in zip(found, clean, strict=True):
        assert torch.equal(a[[0, 2]], b[[0, 2]])


def test_a_state_carried_in_float32_is_not_rounded(one_launch, engine):
    one_launch(3)
    case = decoder_case("gru", 3, 3, 5, 3, 16, 8, 4, device=engine.device)
    with torch.autocast(engine.device, torch.bfloat16):
        states = run_decoder(list(case.tensors.values()), case.options, engine.backend)[0]
        wanted = run_decoder(list(case.tensors.values()), case.options, "reference")[0]
    assert states.dtype == wanted.dtype
    assert torch.allclose(states.float(), wanted.float(), atol=3e-2)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_the_bits_are_the_same_in_every_schedule(cell, one_launch, monkeypatch, engine):
    one_launch(4)
    case = decoder_case(cell, 2, 2, 5, 3, 40, 8, 4, device=engine.device, state_mask=True, dtype=torch.bfloat16)

    def bits(schedule):
        monkeypatch.setenv("CUDAFIBER_SCHED", schedule)
        outputs, grads = gradients(
            lambda *t: run_decoder(list(t), case.options, engine.backend), list(case.tensors.values())
        )
        return [*outputs, *grads]

    wanted = bits("forward")
    for schedule in ("reverse", "random:1"):
        for a, b in zip(bits(schedule), wanted, strict=True):
            assert torch.equal(a, b), schedule


@pytest.mark.parametrize("dtype", [0, 1, 2])
def test_plan_and_kernel_count_the_same_bytes(dtype):
    itemsize = 4 if dtype == 0 else 2
    for batch, positions, units, hidden, gates in [(80, 50, 1000, 1000, 3), (1, 3, 8, 24, 4), (300, 17, 64, 512, 3)]:
        assert module().decoder_stride(dtype, hidden) == product_stride(hidden, itemsize)
        for rows, slices, keys in [(32, 1, True), (80, 3, False), (8, 2, True)]:
            layout = (batch, positions, units, hidden, gates, rows, slices, keys)
            assert module().decoder_shared_bytes(dtype, *layout) == shared_bytes(*layout, itemsize)
        for rows, parts, keys in [(32, 1, True), (128, 16, False), (8, 3, True)]:
            layout = (batch, positions, units, hidden, gates, rows, parts, keys)
            assert module().reversed_decoder_shared_bytes(dtype, *layout) == backward_shared_bytes(*layout, itemsize)
            stride = module().reversed_decoder_stride(dtype, units, hidden, gates, parts)
            assert stride == product_stride(parts * part_depth(units, hidden, gates, parts), itemsize)
