"""How launchers are called: errors by name, the tensors' device and stream, nothing that a graph's capture forbids."""

import contextlib
import functools

import pytest
import torch
from torch.utils._pytree import tree_leaves

from seq2seq_fast.cuda_kernels import OPERATORS
from seq2seq_fast.cuda_kernels.engine import DTYPES, Engine
from seq2seq_fast.ops.backends import BackendStatus, register_backend
from seq2seq_fast.ops.schemas import declare
from tests.emulators.cudafiber.module import module
from tests.ops.test_additive_attention import attention
from tests.support.capture import NothingReadOnTheHost
from tests.support.cases import attention_case, decoder_case, run_decoder
from tests.support.truth import gradients


def test_an_error_of_cuda_has_the_name_of_what_was_launched():
    gates, hidden = torch.zeros(2, 24), torch.zeros(2, 8)
    with pytest.raises(RuntimeError, match=r"^lstm_gates_forward: invalid argument"):
        Engine(module()).launch(
            "lstm_gates_forward", gates, 9, 9, gates, 24, gates, 24, hidden, 8, hidden, hidden, gates, 2, 8
        )


def test_a_launch_goes_to_the_device_and_current_stream_of_its_tensor(monkeypatch):
    current, seen = [0], []

    @contextlib.contextmanager
    def device(where):
        before, current[0] = current[0], where.index
        yield
        current[0] = before

    class Stream:
        cuda_stream = 1234

    class OnSecondDevice:
        is_cuda, device = True, torch.device("cuda", 1)

    class Module:
        @staticmethod
        def kernel(*arguments):
            seen.append((current[0], *arguments))

    monkeypatch.setattr(torch.cuda, "device", device)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda where: Stream if where.index == 1 else None)
    Engine(Module).launch("kernel", OnSecondDevice(), 7, None, True)
    assert seen == [(1, 7, 0, True, 1234)] and current == [0]


@functools.cache
def watched():
    """The CUDA engine on CPU tensors, each operator under that mode."""

    def under_watch(function, *arguments):
        with NothingReadOnTheHost():
            return function(Engine(module()), *arguments)

    library = declare("cudafiber_watched")
    for name, function in OPERATORS.items():
        library.impl(name, functools.partial(under_watch, function), "CPU")
    register_backend("cudafiber_watched", BackendStatus(True, True, ("cpu",), tuple(DTYPES), "watched, for tests"))
    return "cudafiber_watched"


def test_no_operator_reads_a_number_on_the_host():
    case = attention_case(2, 3, 9, 16, 8, lengths=[9, 3])
    gradients(attention(case, watched(), True), case.differentiable)
    for cell, reset_after, hidden in (("gru", True, 16), ("gru", False, 16), ("lstm", True, 16), ("lstm", True, 9)):
        decoder = decoder_case(cell, 2, 2, 5, 3, hidden, 8, 4, reset_after=reset_after, lengths=[5, 2], state_mask=True)
        tensors = list(decoder.tensors.values())
        gradients(lambda *t, options=decoder.options: run_decoder(list(t), options, watched()), tensors)


class Refusing:
    """The CUDA engine on a device that refuses cooperative launches, as under MPS; counts how often it is asked."""

    def __init__(self, refusal):
        self.asked = {"attention_decoder_forward": 0, "attention_decoder_backward": 0}
        self._refusal = refusal

    def __getattr__(self, name):
        if name not in self.asked:
            return getattr(module(), name)

        def refuse(*arguments):
            self.asked[name] += 1
            raise RuntimeError(f"{name}: {self._refusal}")

        return refuse


def decoder_on(engine, name):
    library = declare(name)
    for operator, function in OPERATORS.items():
        library.impl(operator, functools.partial(function, engine), "CPU")
    register_backend(name, BackendStatus(True, True, ("cpu",), tuple(DTYPES), "for tests"))
    decoder = decoder_case("gru", 2, 2, 5, 3, 16, 8, 4, lengths=[5, 2])
    tensors = list(decoder.tensors.values())
    return library, lambda: gradients(lambda *t: run_decoder(list(t), decoder.options, name), tensors)


@pytest.mark.parametrize("refusal", ["too many blocks in cooperative launch", "operation not supported"])
def test_a_refused_cooperative_launch_is_one_warning_and_a_few_launches_a_position(refusal, recwarn):
    refusing = Refusing(refusal)
    _library, run = decoder_on(Engine(refusing), f"cudafiber_refusing_{len(refusal)}")
    found = run()
    assert [str(one.message) for one in recwarn if "seq2seq_fast" in str(one.message)] == [
        "seq2seq_fast: the decoder takes a few launches a position on cpu, which refuses one launch of all its "
        f"multiprocessors (attention_decoder_forward: {refusal}), as under MPS or in a green context"
    ]
    again = run()
    assert sum(refusing.asked.values()) == 1 and len(recwarn) == 1
    pairs = list(zip(tree_leaves(found), tree_leaves(again), strict=True))
    assert pairs and all(one is other or torch.equal(one, other) for one, other in pairs)


def test_another_error_of_a_launch_is_told():
    _library, run = decoder_on(Engine(Refusing("an illegal memory access was encountered")), "cudafiber_failing")
    with pytest.raises(RuntimeError, match="attention_decoder_forward: an illegal memory access"):
        run()
