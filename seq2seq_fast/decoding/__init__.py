"""From a model's step to translations."""

from seq2seq_fast.decoding.beam import beam_search
from seq2seq_fast.decoding.ensemble import Ensemble
from seq2seq_fast.decoding.greedy import greedy_search
from seq2seq_fast.decoding.hypothesis import Hypothesis, SearchLimits
from seq2seq_fast.decoding.model_folder import load_model_folder, save_model_folder
from seq2seq_fast.decoding.translator import SearchConfig, Translation, Translator

__all__ = [
    "Ensemble",
    "Hypothesis",
    "SearchConfig",
    "SearchLimits",
    "Translation",
    "Translator",
    "beam_search",
    "greedy_search",
    "load_model_folder",
    "save_model_folder",
]
