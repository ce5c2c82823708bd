import pytest
import torch

from seq2seq_fast.ops.backends import raw
from seq2seq_fast.ops.fakes import FAKES
from seq2seq_fast.ops.schemas import OWN_SCHEMAS, SCHEMAS, declare, schemas_of
from tests.support.cases import attention_case, decoder_case
from tests.support.engines import FUSED

DISPATCH_KEY = {"cpu": "CPU", "cuda": "CUDA"}


def test_every_schema_has_a_fake_and_is_declared_without_a_compiler():
    assert set(FAKES) == set(SCHEMAS).union(*OWN_SCHEMAS.values())
    declare("test_of_schemas")
    for name in SCHEMAS:
        assert hasattr(raw("test_of_schemas"), name)


@pytest.mark.parametrize(
    ("engine", "name"), [(engine, name) for engine in FUSED for name in schemas_of(engine.backend)], ids=str
)
def test_a_fused_backend_implements_every_raw_operator(engine, name):
    qualified = f"seq2seq_fast_{engine.backend}::{name}"
    assert torch._C._dispatch_has_kernel_for_dispatch_key(
        qualified, DISPATCH_KEY[engine.device]
    ) or torch._C._dispatch_has_kernel_for_dispatch_key(qualified, "CompositeExplicitAutograd")


def _source(case, engine, lengths=True):
    keys, values = case["keys"].detach(), case["values"].detach()
    return keys, values, *raw(engine.backend).key_exponentials(keys)


def _feature_calls(engine, query, keys, v):
    """Scores with and without features, where the engine has them."""
    if "feature_score_forward" not in schemas_of(engine.backend):
        return []
    history = torch.rand(3, 2, 2, 5, device=engine.device)
    filters = torch.randn(9, 2, 3, device=engine.device)
    grad = torch.randn(3, 2, 5, device=engine.device)
    return [
        (f"feature_score_{way}", (*before, query, keys, v, *parts, *after))
        for parts in ((history, filters, "tanh"), (None, None, "relu"))
        for way, before, after in (("forward", (), ()), ("backward", (grad,), ([True, True, False, True, True],)))
    ]


def raw_calls(engine):
    """A call of every raw operator: name and arguments."""
    operators = raw(engine.backend)
    case = attention_case(3, 2, 5, 9, 7, device=engine.device)
    query, keys, values, v = (t.detach() for t in case.differentiable)
    source = keys, values, *operators.key_exponentials(keys)
    lengths = torch.tensor([5, 0, 2], device=engine.device)
    mask = torch.rand(3, 5, device=engine.device) > 0.3
    context, weights, logsumexp = operators.attend_forward(query, *source, v, lengths, mask, True)
    x3, x2, x1, y1 = (torch.randn(4, n * 6, device=engine.device) for n in (3, 2, 1, 1))
    x4 = torch.randn(4, 24, device=engine.device)
    calls = [
        ("key_exponentials", (keys,)),
        ("additive_score_forward", (query, keys, *source[2:], v)),
        ("additive_score_backward", (weights, query, keys, *source[2:], v, [True, False, True])),
        ("attend_forward", (query, *source, v, lengths, None, False)),
        *_feature_calls(engine, query, keys, v),
        ("attend_forward", (query, *source, v, None, mask, True)),
        (
            "attend_backward",
            (context, weights, query, *source, v, lengths, mask, context, weights, logsumexp, [True] * 4),
        ),
        (
            "attend_backward",
            (context, None, query, *source, v, lengths, mask, context, weights[:0, 0, 0], logsumexp, [True, False] * 2),
        ),
        ("gru_gates_forward", (x3, x3, x1)),
        ("gru_gates_backward", (x1, x3, y1, x3)),
        ("gru_reset_forward", (x2, x2, x1)),
        ("gru_reset_backward", (x2, x1, x2)),
        ("gru_update_forward", (x1, y1, x1, y1)),
        ("gru_update_backward", (x1, y1, x1, y1)),
        ("lstm_gates_forward", (x4, x4, x1)),
        ("lstm_gates_backward", (x1, None, y1, x1, x4)),
    ]
    for cell in ("rnn", "gru", "lstm"):
        t = {k: None if x is None else x.detach() for k, x in decoder_case(cell, device=engine.device).tensors.items()}
        exponentials = operators.key_exponentials(t["keys"])
        start = (t["inputs"], t["state"], t["cell_state"], t["keys"], t["values"], *exponentials)
        parameters = tuple(
            t[n] for n in ("query_weight", "query_bias", "v", "weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        constants = (lengths, None, None, cell, True)
        forward = (*start, *parameters, *constants)
        states, contexts, weights, final_cell, *saved = operators.attention_decoder_forward(*forward)
        grads = (states, contexts, weights, final_cell if cell == "lstm" else None)
        needs = [x is not None for x in t.values()]
        outputs = (states, contexts, weights, *saved)
        step = (t["inputs"][:, :2], *(None if x is None else x.unsqueeze(1).repeat(1, 2, 1) for x in start[1:3]))
        calls += [
            ("attention_decoder_forward", forward),
            ("attention_decoder_backward", (*grads, *forward, *outputs, needs)),
            ("attention_decoder_step", (*step, *start[3:], None, *parameters, *constants)),
        ]
        if engine.backend == "cpu":
            calls += _sequence_calls(t, cell, lengths)
    return calls


def _sequence_calls(t, cell, lengths):
    width = t["inputs"].shape[2]
    parameters = t["weight_ih"][:, :width], t["weight_hh"], t["bias_ih"], t["bias_hh"]
    forward = (t["inputs"], t["state"], t["cell_state"], *parameters, lengths.clamp(max=t["inputs"].shape[1]))
    forward = (*forward, None, True, cell, True)
    states, final, final_cell, *saved = raw("cpu").recurrent_sequence_forward(*forward)
    grads = (states, final, final_cell if cell == "lstm" else None)
    needs = [x is not None for x in forward[:7]]
    return [
        ("recurrent_sequence_forward", forward),
        ("recurrent_sequence_backward", (*grads, *forward, *saved, needs)),
    ]


@pytest.mark.parametrize("engine", FUSED, ids=str)
def test_opcheck_finds_every_raw_operator_true_to_its_schema_and_fake(engine):
    seen = set()
    for name, arguments in raw_calls(engine):
        torch.library.opcheck(
            getattr(raw(engine.backend), name).default, arguments, test_utils=("test_schema", "test_faketensor")
        )
        seen.add(name)
    assert seen >= set(schemas_of(engine.backend))
