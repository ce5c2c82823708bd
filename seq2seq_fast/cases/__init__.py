"""The operators' cases: one file an operator, read by tests, doctor, benchmarks and the GPU report.

To prove an engine, on any machine, is a loop::

    for operator in OPERATORS:
        for case in operator.cases(quick=True):
            inputs = operator.inputs(case, Draw(dtype, device))
            for comparison in examined(operator, inputs, on(operator, "triton"), str(case)):
                assert comparison.passed, comparison
"""

from seq2seq_fast.cases.additive_attention import AdditiveAttention
from seq2seq_fast.cases.additive_score import AdditiveScore
from seq2seq_fast.cases.attend import Attend
from seq2seq_fast.cases.attention_decoder import AttentionDecoder
from seq2seq_fast.cases.attention_decoder_step import DecoderStep
from seq2seq_fast.cases.attention_memory import Memory
from seq2seq_fast.cases.gru_cell import GRUCell, GRUGates
from seq2seq_fast.cases.lstm_cell import LSTMCell, LSTMGates
from seq2seq_fast.cases.operator import Case, Draw, Inputs, Operator, Outputs, Work

# Those that take a backend by name.
OPERATORS: tuple[Operator, ...] = (
    AdditiveScore(),
    Attend(),
    AdditiveAttention(),
    GRUCell(),
    LSTMCell(),
    AttentionDecoder(),
    DecoderStep(),
)
# What is timed too: parts of operators, and what is made once for many calls.
PARTS: tuple[Operator, ...] = (GRUGates(), LSTMGates(), Memory())
BY_NAME: dict[str, Operator] = {operator.name: operator for operator in (*OPERATORS, *PARTS)}

__all__ = ["BY_NAME", "OPERATORS", "PARTS", "Case", "Draw", "Inputs", "Operator", "Outputs", "Work"]
