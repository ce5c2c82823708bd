"""Text in, text out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from seq2seq_fast.data import InputError, TokenBudgetSampler, Vocabulary, pad
from seq2seq_fast.data.text import check_text
from seq2seq_fast.decoding.beam import beam_search
from seq2seq_fast.decoding.ensemble import Average, Ensemble, has_attention
from seq2seq_fast.decoding.greedy import greedy_search
from seq2seq_fast.decoding.hypothesis import Hypothesis
from seq2seq_fast.decoding.memory import OutOfMemory, in_parts
from seq2seq_fast.decoding.model_folder import load_model_folder
from seq2seq_fast.decoding.sampling import Sampler
from seq2seq_fast.decoding.search_config import SearchConfig
from seq2seq_fast.decoding.sentence_lengths import SentenceError, check_lengths
from seq2seq_fast.nn import Seq2Seq


class Translation(NamedTuple):
    """One translation of one sentence.

    Attributes:
        text: detokenised.
        score: what the search compared: its log probability over the length penalty, and the coverage penalty (greedy
            search: without penalties).
        log_probability: of its pieces and, where it ended by itself, of its end.
        source_pieces, target_pieces: the pieces of both sides, the source's end piece included.
        weights: [target pieces, source pieces], the attention; None where not asked for or where there is none.
    """

    text: str
    score: float
    log_probability: float
    source_pieces: list[str]
    target_pieces: list[str]
    weights: Tensor | None


EMPTY = Translation("", 0.0, 0.0, [], [], None)


class Translator:
    """A model with its vocabularies.

    >>> translator = Translator.load("model")
    >>> translator.translate(["Zwei Hunde spielen im Schnee."])
    ['Two dogs are playing in the snow.']

    Args:
        model: in evaluation mode, or an ensemble; its device is where translations run.
        source_vocabulary, target_vocabulary: those that it was trained with.
    """

    def __init__(self, model: Seq2Seq | Ensemble, source_vocabulary: Vocabulary, target_vocabulary: Vocabulary) -> None:
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

    @classmethod
    def load_ensemble(
        cls, folders: Sequence[str | Path], device: str = "cpu", average: Average = "probabilities"
    ) -> Translator:
        """Load model folders that translate together, see `Ensemble`.

        Raises:
            InputError: one is no model folder, or has other vocabularies than the first.
        """
        loaded = [load_model_folder(folder, device) for folder in folders]
        (_, source, target), *others = loaded
        for folder, (_, *vocabularies) in zip(folders[1:], others, strict=True):
            if [each.serialized() for each in vocabularies] != [source.serialized(), target.serialized()]:
                raise InputError(
                    f"{folder}: its vocabularies are not those of {folders[0]}: they cannot translate together"
                )
        return cls(Ensemble([model for model, _, _ in loaded], average), source, target)

    def translate(
        self,
        sentences: Iterable[str],
        config: SearchConfig | None = None,
        *,
        told: Callable[[int], None] | None = None,
        origin: tuple[str, int] = ("sentence", 1),
    ) -> list[str]:
        """Return the best translation of each sentence; an empty one stays empty. The rest is as in `search`."""
        return [found[0].text for found in self.search(list(sentences), config, told=told, origin=origin)]

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
        prefixes: Sequence[str] | None = None,
        need_weights: bool = False,
        told: Callable[[int], None] | None = None,
        origin: tuple[str, int] = ("sentence", 1),
    ) -> list[list[Translation]]:
        """Return the ``n_best`` translations of each sentence, best first, with scores and alignments.

        Sentences of about the same length are translated together; the order of the result is that of the sentences.

        Args:
            sentences: text.
            config: how to search.
            n_best: at most the beam size; where translations are drawn at random, any number, in the order of scores.
            prefixes: what the translation of each sentence must begin with, in whole pieces; empty text forces nothing.
            need_weights: whether the translations carry the attention.
            told: hears, again and again, how many more sentences are done.
            origin: what an error calls the sentences, and the number of the first.

        Raises:
            SentenceError: one sentence or prefix is too long, for the settings or for the memory, or the vocabulary
                lacks a prefix's piece.
            InputError: a setting needs attention and the model has none.
            ValueError: there are not as many prefixes as sentences.
        """
        config = config or SearchConfig()
        self._check_attention(config)
        for number, sentence in enumerate(sentences, start=origin[1]):
            check_text(sentence, f"{origin[0]} {number:,}")
        encoded = [self.source_vocabulary.encode(sentence) for sentence in sentences]
        check_lengths(encoded, config.max_source_length, origin)
        results: list[list[Translation]] = [[EMPTY] for _ in sentences]
        places = [place for place, ids in enumerate(encoded) if ids]
        sources = [[*encoded[place], self.source_vocabulary.eos_id] for place in places]
        if prefixes and len(prefixes) != len(sentences):
            raise ValueError(f"prefixes must be one for each of {len(sentences)} sentences; got {len(prefixes)}")
        begins = [self._prefix(prefixes[place], place, config, origin) if prefixes else [] for place in places]
        lengths = [(len(source), 0) for source in sources]
        # What a sentence's random numbers follow from: itself and its number, not its batch.
        keys = [f"{config.seed} {origin[1] + place}" for place in places]
        budget = max(1, config.batch_tokens // (n_best if config.sample else config.beam_size))
        if told is not None:
            told(len(sentences) - len(places))
        for batch in TokenBudgetSampler(lengths, budget, shuffle=False):
            rows, forced = [sources[index] for index in batch], [begins[index] for index in batch]
            seeds = [keys[index] for index in batch]
            try:
                found = in_parts(
                    lambda part, rows=rows, forced=forced, seeds=seeds: self._search(  # type: ignore[misc]
                        rows[part], forced[part], seeds[part], config, n_best, need_weights or config.replace_unknown
                    ),
                    len(rows),
                )
            except OutOfMemory as error:
                place = places[batch[error.place]]
                raise SentenceError(
                    f"{origin[0]} {origin[1] + place:,}: the memory is too small for its {len(encoded[place]):,} "
                    f"pieces with search.beam_size {config.beam_size:,}: lower that, or split it",
                    place,
                    too_long=True,
                ) from error
            for index, hypotheses in zip(batch, found, strict=True):
                sentence = sentences[places[index]]
                results[places[index]] = [
                    self._translation(sources[index], one, sentence if config.replace_unknown else None, need_weights)
                    for one in hypotheses
                ]
            if told is not None:
                told(len(batch))
        return results

    def _prefix(self, text: str, place: int, config: SearchConfig, origin: tuple[str, int]) -> list[int]:
        check_text(text, "the prefix")
        pieces = self.target_vocabulary.encode(text)
        if len(pieces) > config.max_source_length:
            raise SentenceError(
                f"the prefix of {origin[0]} {origin[1] + place:,} has {len(pieces):,} pieces, more than "
                f"search.max_source_length, {config.max_source_length:,}",
                place,
                too_long=False,
            )
        if self.target_vocabulary.unknown_id in pieces:
            said = f"the prefix {text!r:.200} has a piece that the target vocabulary lacks: it cannot be kept"
            raise SentenceError(said, place, too_long=False)
        return pieces

    def _check_attention(self, config: SearchConfig) -> None:
        wanted = [name for name in ("coverage_penalty", "replace_unknown") if getattr(config, name)]
        if wanted and not has_attention(self.model):
            raise InputError(f"search.{wanted[0]} needs a model with attention; this one has none")

    def _search(
        self,
        sources: list[list[int]],
        prefixes: list[list[int]],
        keys: list[str],
        config: SearchConfig,
        n_best: int,
        need_weights: bool,
    ) -> list[list[Hypothesis]]:
        device = next(self.model.parameters()).device
        source, lengths = (part.to(device) for part in pad(sources, self.source_vocabulary.pad_id))
        shared: dict[str, Any] = {
            "bos_id": self.target_vocabulary.bos_id,
            "eos_id": self.target_vocabulary.eos_id,
            "limits": config.limits,
            "no_repeat_ngram": config.no_repeat_ngram,
            "prefixes": prefixes,
            "need_weights": need_weights,
            "graphs": config.graphs,
        }
        if config.sample:
            shared["prefixes"] = [prefix for prefix in prefixes for _ in range(n_best)]
            drawn = greedy_search(
                self.model,
                source.repeat_interleave(n_best, dim=0),
                lengths.repeat_interleave(n_best),
                choose=Sampler(
                    [f"{key} {rank}" for key in keys for rank in range(n_best)],
                    temperature=config.temperature,
                    top_k=config.top_k,
                    top_p=config.top_p,
                ),
                **shared,
            )
            several = [drawn[first : first + n_best] for first in range(0, len(drawn), n_best)]
            return [sorted(each, key=lambda one: -one.score) for each in several]
        if config.beam_size == 1 and n_best == 1:
            return [[hypothesis] for hypothesis in greedy_search(self.model, source, lengths, **shared)]
        return beam_search(
            self.model,
            source,
            lengths,
            beam_size=config.beam_size,
            length_penalty=config.length_penalty,
            coverage_penalty=config.coverage_penalty,
            patience=config.patience,
            n_best=n_best,
            **shared,
        )

    def _translation(
        self, source: list[int], hypothesis: Hypothesis, sentence: str | None, need_weights: bool
    ) -> Translation:
        unknown = None if sentence is None else self._attended_most(sentence, hypothesis)
        return Translation(
            self.target_vocabulary.decode(hypothesis.tokens, unknown),
            hypothesis.score,
            hypothesis.log_probability,
            self.source_vocabulary.pieces(source),
            self.target_vocabulary.pieces(hypothesis.tokens),
            hypothesis.weights if need_weights else None,
        )

    def _attended_most(self, sentence: str, hypothesis: Hypothesis) -> list[str]:
        """For each unknown piece of a translation, the text of the source's piece that it attends to most."""
        places = [t for t, piece in enumerate(hypothesis.tokens) if piece == self.target_vocabulary.unknown_id]
        if not places:
            return []
        assert hypothesis.weights is not None
        segments = self.source_vocabulary.segment(sentence)
        # The end piece of the source has no text.
        return [segments[int(hypothesis.weights[place, :-1].argmax())] for place in places]
