"""Where sentence pairs come from: text files, datasets, memory. Each is read pair by pair, any number of times."""

from __future__ import annotations

import hashlib
import random
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from seq2seq_fast.data.errors import InputError
from seq2seq_fast.data.text import SentencePair, stream_pairs


class Corpus(ABC):
    """Sentence pairs in a fixed order; each iteration begins anew and holds one pair at a time."""

    @abstractmethod
    def __iter__(self) -> Iterator[SentencePair]:
        """Yield the pairs."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Return what changes whenever the pairs do."""


class TextCorpus(Corpus):
    """Pairs of text files; see `stream_pairs`.

    Args:
        source, target: as there.
    """

    def __init__(self, source: Path, target: Path | None = None) -> None:
        self._source, self._target = source, target

    def __iter__(self) -> Iterator[SentencePair]:
        return stream_pairs(self._source, self._target)

    def fingerprint(self) -> str:
        # Of the content, not of names and times: copies and touched files stay what they are.
        return " ".join("tsv" if path is None else _content(path) for path in (self._source, self._target))


class InMemoryCorpus(Corpus):
    """Pairs in memory.

    Args:
        pairs: are read once.

    Attributes:
        pairs: the list.
    """

    def __init__(self, pairs: Iterable[SentencePair]) -> None:
        self.pairs = list(pairs)

    def __iter__(self) -> Iterator[SentencePair]:
        return iter(self.pairs)

    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for pair in self.pairs:
            digest.update(f"{pair.source}\n{pair.target}\n".encode())
        return digest.hexdigest()


class DatasetCorpus(Corpus):
    """Pairs of a dataset of Hugging Face's ``datasets``.

    A row's pair is in a column of translations (``{"translation": {"de": ..., "en": ...}}``) or in two columns of text.

    Args:
        name: on the hub, or a folder: of Parquet, JSON or CSV files, or what ``save_to_disk`` wrote.
        split: the name of the split.
        configuration: the dataset's configuration.
        source, target: two languages of the column of translations (its first two by default), or two columns of text.
        streaming: read from the hub as it comes, without a copy here; otherwise ``datasets`` keeps and memory-maps one.

    Raises (when read):
        InputError: ``datasets`` is not installed, there is no such dataset or split, or a row has no such sentences.
    """

    def __init__(
        self,
        name: str,
        split: str,
        *,
        configuration: str | None = None,
        source: str | None = None,
        target: str | None = None,
        streaming: bool = False,
    ) -> None:
        self._name, self._split, self._configuration = name, split, configuration
        self._languages, self._streaming = (source, target), streaming
        self._opened: tuple[Iterable[Mapping[str, Any]], str] | None = None

    def __iter__(self) -> Iterator[SentencePair]:
        number = -1
        for number, row in enumerate(self._rows()):
            if number == 0:
                column, source, target = self._fields(row)
            sides = row if column is None else row[column]
            if not isinstance(sides.get(source), str) or not isinstance(sides.get(target), str):
                raise InputError(f"{self._label}: row {number + 1} has no text in {source} or {target}")
            # A line break inside a sentence is a space: elsewhere in this program it ends one.
            yield SentencePair(*(" ".join(sides[side].splitlines()).strip() for side in (source, target)))
        if number < 0:
            raise InputError(f"{self._label}: is empty")

    def fingerprint(self) -> str:
        return " ".join((self._open()[1], self._split, *(language or "" for language in self._languages)))

    @property
    def _label(self) -> str:
        configuration = f", configuration {self._configuration}" if self._configuration else ""
        return f"dataset {self._name}{configuration}, split {self._split}"

    def _fields(self, row: Mapping[str, Any]) -> tuple[str | None, str, str]:
        """Return the column of translations (None for two columns of text), source and target in it."""
        source, target = self._languages
        translations = [(column, value) for column, value in row.items() if isinstance(value, Mapping)]
        for column, languages in translations:
            named = [language for language in (source, target) if language is not None]
            if len(languages) >= 2 and all(language in languages for language in named):
                others = [language for language in languages if language not in named]
                return column, source or others[0], target or [one for one in others if one != source][source is None]
        if source in row and target in row:
            return None, str(source), str(target)
        found = ", ".join(f"{column} ({'/'.join(value)})" for column, value in translations) or ", ".join(row)
        raise InputError(
            f"{self._label}: no pair of sentences {source or 'SOURCE'} and {target or 'TARGET'} in its columns: "
            f"{found}; name data.source_language and data.target_language"
        )

    def _open(self) -> tuple[Iterable[Mapping[str, Any]], str]:
        if self._opened is None:
            if find_spec("datasets") is None:
                raise InputError("datasets is not installed; data.dataset needs: pip install 'seq2seq_fast[datasets]'")
            with self._readable():
                self._opened = self._load()
        return self._opened

    def _rows(self) -> Iterator[Mapping[str, Any]]:
        rows = self._open()[0]
        with self._readable():
            yield from rows

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """Say of which dataset it is that the library cannot read it."""
        from datasets.exceptions import DatasetsError

        try:
            yield
        except (OSError, ValueError, KeyError, RuntimeError, DatasetsError) as error:
            reason = error.__cause__ or error
            text = str(reason).strip().splitlines() or [type(reason).__name__]
            raise InputError(f"{self._label}: cannot be loaded ({text[0]})") from None

    def _load(self) -> tuple[Iterable[Mapping[str, Any]], str]:
        import datasets

        folder = Path(self._name)
        if (folder / "state.json").is_file() or (folder / "dataset_dict.json").is_file():
            saved = datasets.load_from_disk(self._name)
            if isinstance(saved, datasets.DatasetDict):
                if self._split not in saved:
                    raise ValueError(f"it has the splits {', '.join(saved)}")
                saved = saved[self._split]
            return saved, saved._fingerprint
        builder = datasets.load_dataset_builder(self._name, self._configuration)
        if self._streaming:
            rows = builder.as_streaming_dataset(self._split)
        else:
            builder.download_and_prepare()
            rows = builder.as_dataset(self._split)
        # The library's own name of this version: it has the revision, or a hash of the files.
        return rows, str(builder.cache_dir)


def sample(pairs: Iterable[SentencePair], size: int, seed: int) -> list[SentencePair]:
    """Return all pairs where there are at most ``size``, otherwise ``size`` of them drawn at random (Vitter 1985)."""
    generator, kept = random.Random(seed), []
    for number, pair in enumerate(pairs):
        if number < size:
            kept.append(pair)
        elif (place := generator.randrange(number + 1)) < size:
            kept[place] = pair
    return kept


def _content(path: Path) -> str:
    digest = hashlib.sha256()
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: is no file: data.cache reads the text more than once")
    try:
        with path.open("rb") as stream:
            while block := stream.read(2**20):
                digest.update(block)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    return digest.hexdigest()
