"""A search's step from position to position, replayed from CUDA graphs on a GPU."""

from __future__ import annotations

import threading
import warnings
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from itertools import chain
from typing import Any
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seq2seq_fast.decoding.captured_step import CapturedStep, layout, tensors_of
from seq2seq_fast.decoding.ensemble import Ensemble
from seq2seq_fast.decoding.hypothesis import drop_worth_it
from seq2seq_fast.nn import Seq2Seq
from seq2seq_fast.ops.autograd import autocast_to
from seq2seq_fast.ops.backends import choose_backend

# Positions of one layout that are computed one by one before it is captured: what is rare is not worth a capture.
EAGER_STEPS = 16
# The most graphs of a model in a thread. Each keeps the keys and values of a batch, and what a step computes.
MOST_GRAPHS = 16
# Sources are padded to a multiple of this, so that their lengths meet again.
SOURCE_MULTIPLE = 8
_MOST_COUNTED = 4096


class SearchStep:
    """One position of a search: tokens and state to log probabilities, the next state and attention weights.

    On a GPU a step is many short kernels, and Python is slower to launch them than the device to run them. So there the
    step is captured in CUDA graphs, and a position is a few copies and a replay. A graph belongs to a layout of the
    state (sources padded to a multiple of 8, their number rounded up), to the weights' addresses, to autocast's dtype
    and to the backend; weights that change in place are seen. A model has at most ``MOST_GRAPHS`` in a thread, of which
    the least recently used makes room. What else decides what the model computes (its settings, PyTorch's precision of
    matrix products) must stay as it is while it has graphs.

    Graphs are for `Seq2Seq` and `Ensemble` in evaluation mode on a GPU, without gradients; elsewhere, and while
    another capture or torch.compile runs, the model's step is called as it is. Where a capture fails a warning says so,
    and the model goes on without.

    Args:
        model: what is searched. device: where.
        graphs: False never makes any.
    """

    def __init__(self, model: Any, device: torch.device, *, graphs: bool = True) -> None:
        self._model = model
        self._graphs = _graphs_of(model) if graphs and can_capture(model, device) else None
        self._autocast = autocast_to(device.type)
        self._key: Hashable = None
        if self._graphs is not None:
            weights = list(chain(model.parameters(), model.buffers()))
            addresses = tuple((part.data_ptr(), part.shape, part.dtype, part.device) for part in weights)
            self._key = (addresses, self._autocast, choose_backend(None, weights[0]))

    def pad(self, source: Tensor) -> Tensor:
        """Source tokens [B, Tx] as they should be encoded; padding changes no result."""
        return source if self._graphs is None else F.pad(source, (0, -source.shape[1] % SOURCE_MULTIPLE))

    def drop_worth_it(self, active: int, rows: int) -> bool:
        """Whether rows that are done should leave the batch now; with graphs, when a smaller one serves the others."""
        return drop_worth_it(active, rows) if self._graphs is None else round_up(active) < round_up(rows)

    def __call__(self, tokens: Tensor, state: Any, *, need_weights: bool) -> tuple[Tensor, Any, Tensor | None]:
        """Step with tokens [B] or [B, K]; the next call overwrites the log probabilities and the state.

        Returns:
            float32 or float64 log probabilities [B, V] or [B, K, V], the state, weights [B, Tx] or [B, K, Tx] or None.
        """

        def step(given: tuple[Tensor, Any]) -> tuple[Tensor, Any, Tensor | None]:
            logits, state, weights = self._model.step(*given, need_weights=need_weights)
            return torch.log_softmax(logits.float(), dim=-1), state, weights

        given = (tokens, state)
        if self._graphs is None:
            return step(given)
        tensors, rows = tensors_of(given), round_up(tokens.shape[0])
        key = (self._key, need_weights, rows, layout(tensors))
        graph = self._graphs.get(key, lambda: CapturedStep(self._uncached(step), given, rows))
        if graph is None:
            return step(given)
        log_probabilities, state, weights = graph(tensors)
        return log_probabilities, state, None if weights is None else weights.clone()

    def _uncached(self, step: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """The step under the autocast of now, without its cache: a graph must not read what autocast frees."""

        def run(given: Any) -> Any:
            device = given[0].device.type
            with torch.autocast(device, self._autocast, enabled=self._autocast is not None, cache_enabled=False):
                return step(given)

        return run


class Graphs:
    """The graphs of one model, by what they depend on."""

    def __init__(self) -> None:
        self._captured: OrderedDict[Hashable, CapturedStep] = OrderedDict()
        self._seen: Counter[Hashable] = Counter()
        self._failed = False

    def __len__(self) -> int:
        return len(self._captured)

    def get(self, key: Hashable, capture: Callable[[], CapturedStep]) -> CapturedStep | None:
        """The graph to replay; None where the step should run as it is."""
        if key in self._captured:
            self._captured.move_to_end(key)
            return self._captured[key]
        self._seen[key] += 1
        if self._failed or self._seen[key] <= EAGER_STEPS:
            if len(self._seen) > _MOST_COUNTED:
                self._seen.clear()
            return None
        while len(self._captured) >= MOST_GRAPHS:
            self._captured.popitem(last=False)
        try:
            self._captured[key] = capture()
        except RuntimeError as error:
            self._failed = True
            warnings.warn(f"decoding goes on without CUDA graphs: a capture failed: {error}", stacklevel=2)
            return None
        del self._seen[key]
        return self._captured[key]


# Each thread has graphs of its own: two searches at once must not share static tensors.
_thread = threading.local()


def _graphs_of(model: nn.Module) -> Graphs:
    if not hasattr(_thread, "graphs"):
        _thread.graphs = WeakKeyDictionary()
    return _thread.graphs.setdefault(model, Graphs())


def can_capture(model: Any, device: torch.device) -> bool:
    """Whether this model's steps may be captured on this device now."""
    if device.type != "cuda" or not isinstance(model, (Seq2Seq, Ensemble)) or model.training:
        return False
    if torch.is_grad_enabled() or torch.compiler.is_compiling():
        return False
    with torch.cuda.device(device):
        return not torch.cuda.is_current_stream_capturing()


def round_up(rows: int) -> int:
    """The next of 1, 2, 3, 4, 6, 8, 12, 16, ...: two sizes an octave, so that batches of many sizes share a graph."""
    power = 1 << max(rows - 1, 0).bit_length()
    return power * 3 // 4 if 2 < rows <= power * 3 // 4 else power
