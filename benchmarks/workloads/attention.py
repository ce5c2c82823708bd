"""Additive attention: scores, one query on a prepared memory, many queries at once, and the memory itself."""

from __future__ import annotations

import seq2seq_fast
from benchmarks import baselines
from benchmarks.limits import Traffic, arithmetic, one_pass
from benchmarks.workload import Bound, Draw, Inputs, Outputs, Sizes, Workload


def make_inputs(sizes: Sizes, draw: Draw) -> Inputs:
    batch, source, units, values = sizes["batch"], sizes["source"], sizes["units"], sizes["values"]
    query = (batch, sizes["queries"], units) if "queries" in sizes else (batch, units)
    return {
        "query": draw.normal(*query),
        "keys": draw.normal(batch, source, units),
        "values": draw.normal(batch, source, values),
        "v": draw.normal(units, scale=units**-0.5),
    }


def make_score_inputs(sizes: Sizes, draw: Draw) -> Inputs:
    # The memory wants values, the scores do not read them: as few as there can be.
    return make_inputs({**sizes, "values": 1}, draw)


def make_ragged(sizes: Sizes, draw: Draw) -> Inputs:
    source = sizes["source"]
    return {**make_inputs(sizes, draw), "lengths": draw.integers((source + 1) // 2, source, sizes["batch"])}


def with_memory(inputs: Inputs) -> Inputs:
    memory = seq2seq_fast.attention_memory(inputs["keys"], inputs["values"])
    return {**inputs, "memory": memory, "keys": memory.keys, "values": memory.values}


def score_bound(inputs: Inputs) -> Bound:
    """The exponential form's error in a score, 4 eps sum|v|."""
    units = 4 * inputs["v"].detach().abs().sum().item()
    return Bound(absolute=units, relative=2 * units)


def attention_bound(inputs: Inputs) -> Bound:
    """What an error of 4 eps sum|v| in every score implies: a weight e^s / sum e^s errs by twice that, relatively."""
    return Bound(relative=2 * score_bound(inputs).absolute + 16)


def score_ours(inputs: Inputs, backend: str) -> Outputs:
    return (seq2seq_fast.additive_score(inputs["query"], inputs["memory"], inputs["v"], backend=backend),)


def score_eager(inputs: Inputs) -> Outputs:
    return (baselines.additive_score(inputs["query"], inputs["keys"], inputs["v"]),)


def attend_ours(inputs: Inputs, backend: str) -> Outputs:
    return seq2seq_fast.attend(inputs["query"], inputs["memory"], inputs["v"], backend=backend)


def attend_eager(inputs: Inputs) -> Outputs:
    return baselines.attend(inputs["query"], inputs["keys"], inputs["values"], inputs["v"])


def many_ours(inputs: Inputs, backend: str) -> Outputs:
    tensors = (inputs[name] for name in ("query", "keys", "values", "v"))
    return seq2seq_fast.additive_attention(*tensors, backend=backend)


def many_without_weights(inputs: Inputs, backend: str) -> Outputs:
    tensors = (inputs[name] for name in ("query", "keys", "values", "v"))
    return seq2seq_fast.additive_attention(*tensors, need_weights=False, backend=backend)


def many_eager(inputs: Inputs) -> Outputs:
    return baselines.additive_attention(inputs["query"], inputs["keys"], inputs["values"], inputs["v"])


def many_eager_without_weights(inputs: Inputs) -> Outputs:
    return many_eager(inputs)[0], None


def memory_ours(inputs: Inputs, backend: str) -> Outputs:
    # The memory is made for the backend that serves the tensors' device: it takes no name of one.
    memory = seq2seq_fast.attention_memory(inputs["keys"], inputs["values"], lengths=inputs["lengths"])
    return memory.keys, memory.values


def memory_eager(inputs: Inputs) -> Outputs:
    return baselines.masked_source(inputs["keys"], inputs["values"], inputs["lengths"])


def score_pass(sizes: Sizes) -> Traffic:
    """Keys (or their exponentials), the query and v are read, the scores written."""
    batch, source, units = sizes["batch"], sizes["source"], sizes["units"]
    return Traffic(batch * source * units + batch * units + units, batch * source)


def score_pass_back(sizes: Sizes) -> Traffic:
    """Keys, query and the scores' gradients are read, the gradients of keys and query written."""
    batch, source, units = sizes["batch"], sizes["source"], sizes["units"]
    moved = batch * source * units + batch * units
    return Traffic(moved + batch * source, moved)


def attend_pass(sizes: Sizes) -> Traffic:
    """Keys (or their exponentials) and values are read once, contexts and weights written."""
    batch, source, units, values = sizes["batch"], sizes["source"], sizes["units"], sizes["values"]
    return Traffic(batch * source * (units + values) + batch * units, batch * (values + source))


def attend_pass_back(sizes: Sizes) -> Traffic:
    """Keys and values are read again, and gradients as large written."""
    batch, source, units, values = sizes["batch"], sizes["source"], sizes["units"], sizes["values"]
    moved = batch * source * (units + values) + batch * units
    return Traffic(moved + batch * (2 * values + 3 * source), moved)


def memory_pass(sizes: Sizes) -> Traffic:
    """Keys and values are read; both are written with zeros in padding, and the keys' exponentials."""
    rows, units, values = sizes["batch"] * sizes["source"], sizes["units"], sizes["values"]
    return Traffic(rows * (units + values), rows * (2 * units + values))


def many_forward(sizes: Sizes) -> int:
    """A unit of a pair costs two multiply-adds (1 + e^q e^k; v r); then the product that makes the contexts."""
    pairs = sizes["batch"] * sizes["queries"] * sizes["source"]
    return pairs * (4 * sizes["units"] + 2 * sizes["values"])


def many_backward(sizes: Sizes) -> int:
    """A unit costs r again, r (1 - r), and a multiply-add for each gradient: query, keys and v; then two products."""
    pairs = sizes["batch"] * sizes["queries"] * sizes["source"]
    return pairs * (10 * sizes["units"] + 4 * sizes["values"])


_STEP = {"batch": 80, "source": 50, "units": 1024}
_MANY = {"batch": 32, "queries": 50, "source": 50, "units": 1024, "values": 1024}

WORKLOADS = (
    Workload(
        name="additive_score/80x50x1024",
        operator="additive_score",
        sizes=_STEP,
        make_inputs=make_score_inputs,
        prepare=with_memory,
        run=score_ours,
        eager=score_eager,
        limit=one_pass(score_pass, score_pass_back),
        wanted=("query", "keys", "v"),
        bound=score_bound,
        quick=True,
    ),
    Workload(
        name="attend/80x50x1024x2048",
        operator="attend",
        sizes={**_STEP, "values": 2048},
        make_inputs=make_inputs,
        prepare=with_memory,
        run=attend_ours,
        eager=attend_eager,
        limit=one_pass(attend_pass, attend_pass_back),
        wanted=("query", "keys", "values", "v"),
        bound=attention_bound,
        quick=True,
    ),
    Workload(
        name="additive_attention/32x50x50x1024",
        operator="additive_attention",
        sizes=_MANY,
        make_inputs=make_inputs,
        run=many_ours,
        eager=many_eager,
        limit=arithmetic(many_forward, many_backward),
        wanted=("query", "keys", "values", "v"),
        bound=attention_bound,
    ),
    Workload(
        name="additive_attention/32x50x50x1024/no_weights",
        operator="additive_attention",
        sizes=_MANY,
        make_inputs=make_inputs,
        run=many_without_weights,
        eager=many_eager_without_weights,
        limit=arithmetic(many_forward, many_backward),
        wanted=("query", "keys", "values", "v"),
        bound=attention_bound,
        quick=True,
    ),
    Workload(
        name="attention_memory/80x50x1024x2048",
        operator="attention_memory",
        sizes={**_STEP, "values": 2048},
        make_inputs=make_ragged,
        run=memory_ours,
        eager=memory_eager,
        limit=one_pass(memory_pass),
    ),
)
