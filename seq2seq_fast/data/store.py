"""Encoded sentence pairs on disk, read where they lie: a corpus of any size."""

from __future__ import annotations

import hashlib
import json
import shutil
import zlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from torch.utils.data import Dataset

from seq2seq_fast.data.base_vocabulary import Vocabulary
from seq2seq_fast.data.corpora import Corpus
from seq2seq_fast.data.encoding import EMPTY, TOO_LONG, EncodedPair, encode_blocks
from seq2seq_fast.data.errors import InputError
from seq2seq_fast.data.files import cannot_write
from seq2seq_fast.data.text import SentencePair
from seq2seq_fast.files import replace, sync
from seq2seq_fast.locks import locked
from seq2seq_fast.progress import Progress, tell

_FORMAT = 1
_ABOUT = "about.json"


class PairStore(Dataset[EncodedPair]):
    """Encoded sentence pairs in memory-mapped files. Worker processes map the same files and copy nothing.

    Args:
        folder: what `open_store` or `write_store` made.
        check: compare its files with their checksums.

    Attributes:
        lengths: the pieces of each pair's source and target, with begin and end pieces, on disk.
        left_out: how many pairs the length filter has left out, by its reasons.

    Raises:
        InputError: the folder holds no complete store.
    """

    def __init__(self, folder: str | Path, *, check: bool = True) -> None:
        self._folder = Path(folder)
        self._sizes: dict[str, int] = {}
        try:
            about = json.loads((self._folder / _ABOUT).read_text(encoding="utf-8"))
            checksum = about.pop("checksum", None)  # version 0.1.0 has none
            if check and checksum not in (None, _checksum_of(about)):
                raise ValueError(f"{_ABOUT} is damaged")
            count, pieces = about["pairs"], about["pieces"]
            # Version 0.1.0 has the sum alone.
            reasons = about.get("reasons", {f"{EMPTY} or {TOO_LONG}": about["left_out"]})
            self.left_out: Counter[str] = Counter(reasons)
            self.lengths = StoredLengths(self, self._map("lengths", np.int32, (count, 2)))
            self._numbers = self._map("numbers", np.int64, (count,))
            self._ends = self._map("ends", np.int64, (count,))
            self._pieces = self._map("pieces", np.dtype(about["dtype"]), (pieces,))
            for name, checksum in (about.get("checksums", {}) if check else {}).items():
                if _checksum(self._folder / name) != checksum:
                    raise ValueError(f"{name} is damaged")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{self._folder}: no complete store of sentence pairs ({error}); delete it") from None

    def _map(self, name: str, dtype: Any, shape: tuple[int, ...]) -> np.ndarray:
        path = self._folder / f"{name}.bin"
        wanted = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if path.stat().st_size != wanted:
            raise ValueError(f"{path.name} has {path.stat().st_size:,} bytes, not {wanted:,}")
        self._sizes[path.name] = wanted
        # An empty file cannot be mapped.
        # As a plain array: each part of a memmap is one again, which costs more than the reading.
        return np.memmap(path, dtype, "r", shape=shape).view(np.ndarray) if wanted else np.empty(shape, dtype)

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return _reopen, (self._folder,)

    def __len__(self) -> int:
        return len(self._ends)

    def check_sizes(self) -> None:
        """Ask for the files' sizes before each reading: a page that is gone would end the process without a word.

        Raises:
            InputError: one has another size than it had.
        """
        for name, size in self._sizes.items():
            path = self._folder / name
            try:
                found = path.stat().st_size
            except OSError as error:
                raise InputError(f"{path}: cannot be read ({error.strerror})") from None
            if found != size:
                raise InputError(f"{path}: was cut or changed while it was read: delete the folder")

    def __getitem__(self, index: int) -> EncodedPair:
        source, target = self.lengths[index].tolist()  # which checks the sizes
        end = int(self._ends[index])
        pieces = self._pieces[end - source - target : end].tolist()
        return EncodedPair(pieces[:source], pieces[source:], int(self._numbers[index]))


class StoredLengths:
    """The lengths of a store's pairs, int32 [N, 2], read from the disk where and when they are asked for.

    Raises (when read):
        InputError: a file of the store has been cut.
    """

    def __init__(self, store: PairStore, mapped: np.ndarray) -> None:
        self._store, self._mapped = store, mapped

    def __len__(self) -> int:
        return len(self._mapped)

    def __getitem__(self, places: Any) -> np.ndarray:
        self._store.check_sizes()
        return np.array(self._mapped[places])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(dtype or np.int32, copy=False)


def _reopen(folder: Path) -> PairStore:
    """Open a store in a worker, whose parent has checked it."""
    return PairStore(folder, check=False)


def _checksum(path: Path) -> int:
    found = 0
    with path.open("rb") as stream:
        while block := stream.read(2**22):
            found = zlib.crc32(block, found)
    return found


def _checksum_of(about: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(about, sort_keys=True).encode())


def open_store(
    cache: str | Path,
    corpus: Corpus,
    source: Vocabulary,
    target: Vocabulary,
    *,
    max_length: int | None = None,
    workers: int = 0,
    progress: bool = False,
) -> PairStore:
    """Return the store of a corpus in a cache folder; it is made where it is not there yet.

    Its name is a hash of the corpus's fingerprint, the vocabularies and ``max_length``, so another text, another
    vocabulary or another limit has a store of its own. It appears under that name only when it is complete. Of several
    processes that ask at once, one makes it and the others wait.

    Args:
        cache: the folder of all stores.
        corpus: the pairs as text; they are encoded only where the store is not there.
        source, target, max_length, workers: as in `encode_blocks`.
        progress: show how many pairs are encoded.

    Raises:
        InputError: the pairs cannot be read or the store cannot be written.
    """
    digest = hashlib.sha256(f"{_FORMAT} {corpus.fingerprint()} {max_length}".encode())
    for vocabulary in (source, target):
        digest.update(hashlib.sha256(vocabulary.serialized()).digest())
    folder = Path(cache, f"pairs-{digest.hexdigest()[:32]}")
    if folder.is_dir():
        return PairStore(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(Path(f"{folder}.lock"), lambda other: tell(f"{folder}: waiting for {other}, which makes it")):
            if not folder.is_dir():
                with Progress("tokenise", "pairs", shown=progress) as shown:
                    write_store(folder, corpus, source, target, shown, max_length=max_length, workers=workers)
    except OSError as error:
        raise cannot_write(f"data.cache {folder}", error) from error
    return PairStore(folder)


def write_store(
    folder: Path,
    pairs: Iterable[SentencePair],
    source: Vocabulary,
    target: Vocabulary,
    shown: Progress,
    *,
    max_length: int | None,
    workers: int,
) -> None:
    """Encode the pairs into a folder that appears under its name only when it is complete; see `open_store`."""
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        _write(partial, pairs, source, target, shown, max_length, workers)
        for file in partial.iterdir():
            sync(file)
        replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write(
    folder: Path,
    pairs: Iterable[SentencePair],
    source: Vocabulary,
    target: Vocabulary,
    shown: Progress,
    max_length: int | None,
    workers: int,
) -> None:
    dtype = np.dtype(np.uint16 if max(len(source), len(target)) <= 2**16 else np.int32)
    count = end = 0
    left_out: Counter[str] = Counter()
    files: dict[str, BinaryIO] = {}
    try:
        for name in ("pieces", "lengths", "ends", "numbers"):
            files[name] = open(folder / f"{name}.bin", "wb")  # noqa: SIM115
        for block in encode_blocks(pairs, source, target, max_length=max_length, workers=workers):
            ends = end + np.cumsum(block.lengths.sum(axis=1, dtype=np.int64))
            files["pieces"].write(block.pieces.astype(dtype).tobytes())
            files["lengths"].write(block.lengths.tobytes())
            files["ends"].write(ends.tobytes())
            files["numbers"].write(block.numbers.tobytes())
            shown.add(len(ends) + block.left_out.total())
            count, end = count + len(ends), end + len(block.pieces)
            left_out += block.left_out
    finally:
        for file in files.values():
            file.close()
    checksums = {f"{name}.bin": _checksum(folder / f"{name}.bin") for name in files}
    about: dict[str, Any] = {
        "checksums": checksums, "pairs": count, "left_out": left_out.total(), "reasons": left_out, "pieces": end,
        "dtype": dtype.name,
    }  # fmt: skip
    about["checksum"] = _checksum_of(about)
    (folder / _ABOUT).write_text(json.dumps(about), encoding="utf-8")
