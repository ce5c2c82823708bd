"""A stand-in for a CUDA graph: it replays on the CPU what was called, on the very tensors that were there."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests.support.capture import forbidden


class RecordedGraph(TorchDispatchMode):
    """Records calls inside its context. As after a real capture, nothing has been computed when it ends.

    A replay reads the tensors that the calls have read and writes those that they have returned, whatever Python names
    point to since then.
    """

    def __init__(self):
        super().__init__()
        self.calls, self.made = [], []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if forbidden(function, args):
            raise RuntimeError(f"operation not permitted when stream is capturing: {function}")
        outputs = function(*args, **kwargs)
        self.calls.append((function, args, kwargs, outputs))
        given = {part.untyped_storage().data_ptr() for part in _tensors((args, kwargs))}
        self.made += [part for part in _tensors(outputs) if part.untyped_storage().data_ptr() not in given]
        return outputs

    def __exit__(self, *error):
        super().__exit__(*error)
        for part in self.made:
            part.fill_(
                torch.nan
                if part.is_floating_point()
                else torch.iinfo(part.dtype).max
                if part.dtype != torch.bool
                else 1
            )

    def replay(self):
        for function, args, kwargs, outputs in self.calls:
            for static, computed in zip(_tensors(outputs), _tensors(function(*args, **kwargs)), strict=True):
                if static.data_ptr() != computed.data_ptr():
                    static.copy_(computed)


def _tensors(value):
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, torch.Tensor)]


class Recorder:
    """In place of `captured_step.record`; counts captures and replays."""

    def __init__(self):
        self.captures = self.replays = 0
        self.refuse = False

    def __call__(self, function, device):
        self.captures += 1
        function()
        with RecordedGraph() as graph:
            outputs = function()
            if self.refuse:
                torch.zeros(1).item()

        def replay():
            self.replays += 1
            graph.replay()

        return outputs, replay
