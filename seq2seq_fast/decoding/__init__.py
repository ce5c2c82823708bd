"""From a model's step to translations."""

from seq2seq_fast.decoding.beam import beam_search
from seq2seq_fast.decoding.greedy import greedy_search
from seq2seq_fast.decoding.hypothesis import Hypothesis, SearchLimits

__all__ = ["Hypothesis", "SearchLimits", "beam_search", "greedy_search"]
