"""Text in, text out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from seq2seq_fast.data import TokenBudgetSampler, Vocabulary, check_ranges, pad
from seq2seq_fast.decoding.beam import beam_search
from seq2seq_fast.decoding.greedy import greedy_search
from seq2seq_fast.decoding.hypothesis import Hypothesis, SearchLimits
from seq2seq_fast.decoding.model_folder import load_model_folder
from seq2seq_fast.nn import Seq2Seq


@dataclass
class SearchConfig:
    """How translations are searched.

    Args:
        beam_size: Beginnings of a translation that are kept side by side; 1 is greedy search.
        length_penalty: Exponent of the length penalty; 0 compares bare probabilities, which favours short translations.
        batch_tokens: The most source tokens, padding and beams included, that are translated together.
        length_ratio: A translation has at most this many pieces for each piece of the source, and ten more.
    """

    beam_size: int = 5
    length_penalty: float = 1.0
    batch_tokens: int = 8000
    length_ratio: float = 2.0

    def __post_init__(self) -> None:
        least = {"beam_size": 1, "length_penalty": 0, "batch_tokens": 1, "length_ratio": 0}
        check_ranges("search", self, at_least=least)


class Translation(NamedTuple):
    """One translation of one sentence.

    Attributes:
        text: detokenised.
        score: its log probability over the length penalty (greedy search: without penalty).
        source_pieces, target_pieces: the pieces of both sides, the source's end piece included.
        weights: [target pieces, source pieces], the attention; None where not asked for or where there is none.
    """

    text: str
    score: float
    source_pieces: list[str]
    target_pieces: list[str]
    weights: Tensor | None


class Translator:
    """A model with its vocabularies.

    >>> translator = Translator.load("model")
    >>> translator.translate(["Zwei Hunde spielen im Schnee."])
    ['Two dogs are playing in the snow.']

    Args:
        model: in evaluation mode; its device is where translations run.
        source_vocabulary, target_vocabulary: those that it was trained with.
    """

    def __init__(self, model: Seq2Seq, source_vocabulary: Vocabulary, target_vocabulary: Vocabulary) -> None:
        self.model = model
        self.source_vocabulary = source_vocabulary
        self.target_vocabulary = target_vocabulary

    @classmethod
    def load(cls, folder: str | Path, device: str = "cpu") -> Translator:
        """Load a model folder.

        Raises:
            InputError: it is not one.
        """
        return cls(*load_model_folder(folder, device))

    def translate(self, sentences: Iterable[str], config: SearchConfig | None = None) -> list[str]:
        """Return the best translation of each sentence; an empty one stays empty."""
        return [found[0].text for found in self.search(list(sentences), config)]

    def stream(
        self, sentences: Iterable[str], config: SearchConfig | None = None, *, lines: int = 512
    ) -> Iterator[str]:
        """Yield translations in order while sentences come in, ``lines`` of them at a time."""
        sentences = iter(sentences)
        while block := list(islice(sentences, lines)):
            yield from self.translate(block, config)

    def search(
        self,
        sentences: Sequence[str],
        config: SearchConfig | None = None,
        *,
        n_best: int = 1,
        need_weights: bool = False,
    ) -> list[list[Translation]]:
        """Return the ``n_best`` translations of each sentence, best first, with scores and alignments.

        Sentences of about the same length are translated together; the order of the result is that of the sentences.

        Args:
            sentences: text.
            config: how to search.
            n_best: at most the beam size.
            need_weights: whether the translations carry the attention.
        """
        config = config or SearchConfig()
        encoded = [self.source_vocabulary.encode(sentence) for sentence in sentences]
        results: list[list[Translation]] = [[Translation("", 0.0, [], [], None)] for _ in sentences]
        places = [place for place, ids in enumerate(encoded) if ids]
        sources = [[*encoded[place], self.source_vocabulary.eos_id] for place in places]
        lengths = [(len(source), 0) for source in sources]
        budget = max(1, config.batch_tokens // config.beam_size)
        for batch in TokenBudgetSampler(lengths, budget, shuffle=False):
            rows = [sources[index] for index in batch]
            for index, found in zip(batch, self._search(rows, config, n_best, need_weights), strict=True):
                results[places[index]] = [self._translation(sources[index], hypothesis) for hypothesis in found]
        return results

    def _search(
        self, sources: list[list[int]], config: SearchConfig, n_best: int, need_weights: bool
    ) -> list[list[Hypothesis]]:
        device = next(self.model.parameters()).device
        source, lengths = (part.to(device) for part in pad(sources, self.source_vocabulary.pad_id))
        limits = SearchLimits(ratio=config.length_ratio)
        bos_id, eos_id = self.target_vocabulary.bos_id, self.target_vocabulary.eos_id
        if config.beam_size == 1 and n_best == 1:
            found = greedy_search(
                self.model, source, lengths, bos_id=bos_id, eos_id=eos_id, limits=limits, need_weights=need_weights
            )
            return [[hypothesis] for hypothesis in found]
        return beam_search(
            self.model,
            source,
            lengths,
            bos_id=bos_id,
            eos_id=eos_id,
            beam_size=config.beam_size,
            length_penalty=config.length_penalty,
            n_best=n_best,
            limits=limits,
            need_weights=need_weights,
        )

    def _translation(self, source: list[int], hypothesis: Hypothesis) -> Translation:
        return Translation(
            self.target_vocabulary.decode(hypothesis.tokens),
            hypothesis.score,
            self.source_vocabulary.pieces(source),
            self.target_vocabulary.pieces(hypothesis.tokens),
            hypothesis.weights,
        )
