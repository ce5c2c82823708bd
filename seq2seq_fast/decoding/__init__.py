"""From a model's step to translations."""

from seq2seq_fast.decoding.beam import beam_search
from seq2seq_fast.decoding.ensemble import Ensemble
from seq2seq_fast.decoding.given import PieceAttention, attend_to_given
from seq2seq_fast.decoding.greedy import greedy_search
from seq2seq_fast.decoding.hypothesis import Hypothesis, SearchLimits
from seq2seq_fast.decoding.model_folder import load_model_folder, save_model_folder
from seq2seq_fast.decoding.sampling import Sampler
from seq2seq_fast.decoding.scoring import GivenScore, perplexity, score_given
from seq2seq_fast.decoding.translator import SearchConfig, Translation, Translator
from seq2seq_fast.decoding.words import WordAttention, attention_of_words, links

__all__ = [
    "Ensemble",
    "GivenScore",
    "Hypothesis",
    "PieceAttention",
    "Sampler",
    "SearchConfig",
    "SearchLimits",
    "Translation",
    "Translator",
    "WordAttention",
    "attend_to_given",
    "attention_of_words",
    "beam_search",
    "greedy_search",
    "links",
    "load_model_folder",
    "perplexity",
    "save_model_folder",
    "score_given",
]
