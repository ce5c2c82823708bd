"""The whole model on "cuda" without a GPU: fake tensors show which dtypes and devices meet there, and what would raise.

Training steps run forward, in float32 and under autocast, and both searches to their end. PyTorch lets nothing run
backward on fake CUDA tensors without a driver, so that is done on CPU tensors. PyTorch's own recurrences are played by
`tests.support.cudnn` in both.
"""

import importlib
from contextlib import contextmanager

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

import seq2seq_fast
from seq2seq_fast.decoding import beam_search, greedy_search
from seq2seq_fast.nn import Seq2Seq
from seq2seq_fast.ops import register_backend, triton
from tests.nn.support import batch_of, tiny
from tests.support.cudnn import Cudnn

CELLS = ({}, {"reset_after": False}, {"cell": "lstm"}, {"cell": "rnn"})
DROPOUTS = (
    {}, {"dropout": 0.2}, {"embedding_dropout": 0.2}, {"recurrent_dropout": 0.2},
    {"dropout": 0.2, "embedding_dropout": 0.2, "recurrent_dropout": 0.2, "variational": True},
)  # fmt: skip
TWO = {"encoder_layers": 2, "decoder_layers": 2}
LAYERS = (TWO, TWO | DROPOUTS[-1], TWO | {"residual": True})
KINDS = (
    {"attention": "multiplicative"}, {"attention": "dot"}, {"attention": None}, {"attention_history": "coverage"},
    {"attention_history": "location"}, {"attention_position": "after"}, {"conditional": True}, {"input_feeding": True},
    {"layer_norm": True},
)  # fmt: skip
FORMS = [cell | other for cell in CELLS for other in (*DROPOUTS, *LAYERS, *KINDS)]
SEARCHED = [*CELLS, *LAYERS, *({"cell": "lstm"} | layers for layers in LAYERS), *KINDS]
AUTOCAST = (torch.float32, torch.bfloat16, torch.float16)
ROWS = 3


def named(form):
    return "-".join(f"{value}" if isinstance(value, str) else name for name, value in form.items()) or "plain"


@contextmanager
def autocast(device, dtype):
    """torch.autocast, which asks for a device, as torch keeps it."""
    before = torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)
    torch.set_autocast_enabled(device, dtype != torch.float32)
    torch.set_autocast_dtype(device, dtype if dtype != torch.float32 else before[1])
    torch.set_autocast_cache_enabled(False)
    try:
        yield
    finally:
        torch.set_autocast_enabled(device, before[0])
        torch.set_autocast_dtype(device, before[1])
        torch.set_autocast_cache_enabled(True)


class HostAnswers(TorchDispatchMode):
    """What the host reads of fake tensors: the number of rows wherever it counts, and that nothing has ended."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        if name in ("item", "_local_scalar_dense"):
            return {torch.bool: False, torch.int64: ROWS}.get(args[0].dtype, 0.5)
        if name == "nonzero":
            return args[0].new_empty(0, args[0].dim(), dtype=torch.int64)
        return function(*args, **(kwargs or {}))


@pytest.fixture
def cudnn(monkeypatch):
    return Cudnn().install(monkeypatch)


@pytest.fixture
def fakes(monkeypatch):
    """Tensors on "cuda" that have no numbers, served as on a machine with a GPU."""
    if not torch.backends.cuda.is_built():
        pytest.skip("this torch is built without CUDA and refuses some operations on fake CUDA tensors")
    if not torch.cuda.is_available():
        monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    triton.register()
    monkeypatch.setattr(importlib.import_module("seq2seq_fast.ops.backends"), "_BACKENDS", seq2seq_fast.backends())
    register_backend("triton", seq2seq_fast.BackendStatus(True, True, ("cuda",), triton.DTYPES))
    with FakeTensorMode(), HostAnswers():
        yield


def on_gpu(form):
    with torch.device("cuda"):
        return Seq2Seq(tiny(**form))


def tokens(*shape):
    return torch.zeros(shape, dtype=torch.int64, device="cuda")


@pytest.mark.parametrize("dtype", AUTOCAST, ids=str)
@pytest.mark.parametrize("form", FORMS, ids=named)
def test_a_training_step_runs_forward_on_a_gpu(form, dtype, fakes, cudnn):
    model = on_gpu(form)
    with autocast("cuda", dtype):
        logits = model.logits(model(tokens(ROWS, 5), tokens(ROWS), tokens(ROWS, 4)).readout)
    assert (logits.shape, logits.dtype, logits.device.type) == ((ROWS, 4, 11), dtype, "cuda")
    assert set(cudnn.calls) <= {dtype} and cudnn.copied == 0


@pytest.mark.parametrize("search", [greedy_search, beam_search], ids=["greedy", "beam"])
@pytest.mark.parametrize("dtype", AUTOCAST, ids=str)
@pytest.mark.parametrize("form", SEARCHED, ids=named)
def test_searches_run_on_a_gpu(form, dtype, search, fakes, cudnn):
    model = on_gpu(form).eval()
    settings = {"beam_size": 2} if search is beam_search else {}
    with torch.no_grad(), autocast("cuda", dtype):
        found = search(model, tokens(ROWS, 5), tokens(ROWS), bos_id=2, eos_id=3, graphs=False, **settings)
    assert len(found) == ROWS


@pytest.mark.parametrize("dtype", AUTOCAST, ids=str)
@pytest.mark.parametrize("form", FORMS, ids=named)
def test_a_training_step_runs_backward_over_what_a_gpu_answers(form, dtype, cudnn):
    config = tiny(**form)
    model = Seq2Seq(config)
    with seq2seq_fast.use_backend("reference"), autocast("cpu", dtype):
        logits = model.logits(model(*batch_of(config)).readout)
    assert logits.dtype == dtype
    logits.float().logsumexp(2).sum().backward()
    assert set(cudnn.calls) <= {dtype}
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.dtype == torch.float32, name
