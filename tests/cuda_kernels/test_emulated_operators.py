"""Every test of an operator, on the CUDA kernels: g++ compiles what ships, and fibers run it on CPU tensors."""

import inspect
import itertools

import pytest

from tests.ops import (
    test_additive_attention,
    test_additive_score,
    test_attention_decoder,
    test_attention_decoder_step,
    test_gru_cell,
    test_lstm_cell,
    test_operators,
    test_sizes,
)
from tests.support.emulated import emulated

MODULES = (
    test_additive_attention,
    test_additive_score,
    test_attention_decoder,
    test_attention_decoder_step,
    test_gru_cell,
    test_lstm_cell,
    test_operators,
    test_sizes,
)
IN_FLOAT64 = "gradcheck"  # gradcheck and gradgradcheck; the kernels do not serve float64


def operator_tests():
    """Each test that takes an engine, with each combination of its other parameters."""
    for module in MODULES:
        for name, function in vars(module).items():
            if not name.startswith("test_") or "engine" not in inspect.signature(function).parameters:
                continue
            if IN_FLOAT64 in name:
                continue
            choices = [
                [dict(zip(names, v if len(names) > 1 else (v,), strict=True)) for v in values]
                for names, values in map(_parametrization, function.pytestmark)
                if names != ["engine"]
            ]
            for combination in itertools.product(*choices):
                arguments = {key: value for part in combination for key, value in part.items()}
                label = "-".join([name.removeprefix("test_"), *map(str, arguments.values())])
                yield pytest.param(function, arguments, id=f"{module.__name__.rpartition('test_')[2]}: {label}")


def _parametrization(mark):
    names, values = mark.args[:2]
    return ([name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)), list(values)


@pytest.mark.parametrize(("function", "arguments"), list(operator_tests()))
def test_the_kernels_pass_what_every_engine_passes(function, arguments, request):
    if "poisoned" in inspect.signature(function).parameters:
        arguments = arguments | {"poisoned": request.getfixturevalue("poisoned")}
    function(engine=emulated(), **arguments)
