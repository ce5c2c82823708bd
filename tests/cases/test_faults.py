"""Thirty-two faults of kernels, each in an engine that is right but for it: tests, doctor and benchmarks refuse it.

The engine is eager's way, a fault a change to its source. What no benchmark has, masks, none of them can notice.
"""

import importlib
import inspect
import pkgutil

import pytest
import torch

import seq2seq_fast.cases
from seq2seq_fast.cases import BY_NAME, Draw
from seq2seq_fast.cases.evaluate import examined, on
from seq2seq_fast.cases.race import Contender, Course, qualify
from seq2seq_fast.doctor.checks import Target, run_check

CPU = torch.device("cpu")
NAMES = [module.name for module in pkgutil.iter_modules(seq2seq_fast.cases.__path__)]
MODULES = [importlib.import_module(f"seq2seq_fast.cases.{name}") for name in NAMES]
DECODERS = ("attention_decoder", "attention_decoder_step")
# Operators, function, what its source says, what the fault makes of it.
FAULTS = {
    "a key is subtracted": (("additive_score",), "eager_score", "+ (keys", "- (keys"),
    "v is 1 % too large": (("additive_score",), "eager_score", "@ v", "@ (1.01 * v)"),
    "a query has no gradient": (("additive_score", "attend"), "eager_score", "query.unsq", "query.detach().unsq"),
    "the last unit is skipped": (("additive_score",), "eager_score", "@ v", "@ torch.cat([v[:-1], 0 * v[-1:]])"),
    "scores have the wrong sign": (("attend",), "eager_attend", "one = eager_score", "one = -eager_score"),
    "weights add up to 1.01": (("attend",), "eager_attend", "= torch.softmax", "= 1.01 * torch.softmax"),
    "softmax over the queries": (("additive_attention",), "eager_attend", "dim=-1", "dim=-2"),
    "weights get nothing from contexts": (
        ("additive_attention",), "eager_attend", "bmm(weights, values)", "bmm(weights.detach(), values)"
    ),
    "values have no gradient": (("attend",), "eager_attend", "(1), values)", "(1), values.detach())"),
    "padding is weighed a little": (("attend", "additive_attention"), "eager_attend", "-torch.inf", "-5.0"),
    "one position too many": (("attend", "additive_score"), "padding_of", "positions >= ", "positions > "),
    "one position too few": (("attend",), "padding_of", "positions >= ", "positions + 1 >= "),
    "the mask is inverted": (("additive_score", "attention_memory"), "padding_of", "~mask", "mask"),
    "lengths hide the mask": (("attend", "attention_memory"), "padding_of", "padding | behind", "behind"),
    "the state moves away": (("gru_gates",), "eager_gru_gates", "(hidden - n)", "(n - hidden)"),
    "the update gate is 1 % off": (("gru_gates",), "eager_gru_gates", "n + z", "n + 1.01 * z"),
    "the reset gate has no gradient": (
        ("gru_gates",), "eager_gru_gates", "(input_r + hidden_r)", "((input_r + hidden_r).detach())"
    ),
    "the kept state has no gradient": (("gru_gates",), "eager_gru_gates", "(hidden - n)", "(hidden.detach() - n)"),
    "two gates are exchanged": (("gru_gates",), "eager_gru_gates", "input_r, input_z", "input_z, input_r"),
    "the candidate has a wrong sign": (("gru_gates",), "eager_gru_gates", "tanh(input_n +", "tanh(input_n -"),
    "the input gate subtracts": (("lstm_gates",), "eager_lstm_gates", "* cell +", "* cell -"),
    "the kept cell has no gradient": (("lstm_gates",), "eager_lstm_gates", "* cell +", "* cell.detach() +"),
    "input and forget are exchanged": (("lstm_gates",), "eager_lstm_gates", "i, f, g, o", "f, i, g, o"),
    "the cell is 1 % too large": (("lstm_gates",), "eager_lstm_gates", "(cell), cell", "(cell), 1.01 * cell"),
    "the output gate has no gradient": (("lstm_gates",), "eager_lstm_gates", "sigmoid(o)", "sigmoid(o).detach()"),
    "dropped units stay": (DECODERS, "eager_step", "hidden * state_mask", "hidden * 1.0"),
    "the query gives its state no gradient": (DECODERS, "eager_step", "linear(hidden,", "linear(hidden.detach(),"),
    "a context has no gradient": (DECODERS, "eager_step", "[input, context]", "[input, context.detach()]"),
    "input and context are exchanged": (DECODERS, "eager_step", "[input, context]", "[context, input]"),
    "the query's bias is forgotten": (DECODERS, "eager_step", ", query_bias)", ", None)"),
    "a context is 1 % too large": (DECODERS, "eager_step", "[input, context]", "[input, 1.01 * context]"),
    "a state is never handed on": (DECODERS[:1], "decode", "states, context, weights =", "_, context, weights ="),
}  # fmt: skip
OF_MASKS = {
    "padding is weighed a little", "one position too many", "one position too few", "the mask is inverted",
    "lengths hide the mask", "dropped units stay",
}  # fmt: skip
CASES = [(fault, name) for fault, (names, *_) in FAULTS.items() for name in names]


def engine_of(operator):
    """The operator with eager's way as the backend "eager"."""

    def call(self, inputs, memory, backend):
        return type(operator).call(self, inputs, memory, backend) if backend == "reference" else self.eager(inputs)

    return type(type(operator).__name__, (type(operator),), {"call": call})()


def refused_by_tests(operator):
    draws = ((case, operator.inputs(case, Draw(torch.float32, CPU))) for case in operator.cases(quick=True))
    return any(
        not comparison.passed
        for case, inputs in draws
        for comparison in examined(operator, inputs, on(operator, "eager"), str(case))
    )


def refused_by_the_doctor(operator):
    target = Target("eager", CPU, torch.float32, quick=True)
    return any(not run_check(name, operator, target).passed for name in ("outputs", "gradients"))


def refused_by_benchmarks(operator):
    course = Course(operator, operator.at("small").divided(8), Draw(torch.float32, CPU))
    return bool(qualify(course, [Contender("eager", on(operator, "eager"))], ("inference", "training")).failures)


WATCHES = {"tests": refused_by_tests, "doctor": refused_by_the_doctor, "benchmarks": refused_by_benchmarks}


@pytest.mark.parametrize("name", sorted({name for _, name in CASES}))
def test_the_engine_without_a_fault_is_refused_by_none(name):
    assert [watch for watch, refused in WATCHES.items() if refused(engine_of(BY_NAME[name]))] == []


@pytest.mark.parametrize(("fault", "name"), CASES)
def test_a_fault_is_refused_by_all_that_claim_to_see_it(monkeypatch, fault, name):
    _, function, right, wrong = FAULTS[fault]
    home = next(m for m in MODULES if getattr(getattr(m, function, None), "__module__", "") == m.__name__)
    source = inspect.getsource(getattr(home, function))
    assert right in source
    namespace = dict(vars(home))
    exec(source.replace(right, wrong), namespace)
    for module in MODULES:
        if hasattr(module, function):
            monkeypatch.setattr(module, function, namespace[function])
    claimed = [watch for watch in WATCHES if watch != "benchmarks" or fault not in OF_MASKS]
    operator = engine_of(BY_NAME[name])
    assert [watch for watch, refused in WATCHES.items() if watch in claimed and refused(operator)] == claimed


def test_there_are_thirty_faults_of_every_kind():
    assert len(FAULTS) >= 30 and len(OF_MASKS) >= 5
    assert sum("gradient" in fault for fault in FAULTS) >= 7 and sum("1 %" in fault for fault in FAULTS) >= 4
