"""Sentence pairs to piece numbers, in this process or in several, a block at a time."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from typing import NamedTuple

import numpy as np

from seq2seq_fast.data.base_vocabulary import Vocabulary
from seq2seq_fast.data.pharaoh import Links
from seq2seq_fast.data.text import SentencePair
from seq2seq_fast.data.word_alignment import WordAlignments

_BLOCK = 5000
_AHEAD = 3
EMPTY, TOO_LONG = "empty", "longer than data.max_length"


def told_left_out(left_out: Counter[str]) -> str:
    """Return in words how many are left out, and why: 3 left out: 1 empty, 2 longer than data.max_length."""
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(left_out.items()) if count)
    return f"{left_out.total():,} left out{f': {reasons}' if reasons else ''}"


class EncodedPair(NamedTuple):
    """A pair as piece numbers, ready for `Collate`.

    The source ends with the end-of-sentence piece; the target begins with the begin and ends with the end piece.
    ``number`` is the pair's place in the text that it comes from. ``links`` are (source piece, target piece), counted
    without the begin piece; None where no alignment is known.
    """

    source: list[int]
    target: list[int]
    number: int
    links: Links | None = None


def encode_pairs(
    pairs: Iterable[SentencePair],
    source: Vocabulary,
    target: Vocabulary,
    max_length: int | None = None,
    *,
    first: int = 0,
    alignments: WordAlignments | None = None,
    left_out: Counter[str] | None = None,
) -> Iterator[EncodedPair]:
    """Yield the pairs as piece numbers, without those that the length filter leaves out.

    Args:
        pairs: the pairs as text.
        source, target: the two sides' vocabularies.
        max_length: leave out pairs with an empty side or with more pieces than this on either side (begin and end not
            counted); None keeps every pair.
        first: the number of the first pair.
        alignments: of the pairs' words, for those who want links of their pieces.
        left_out: counts those that are left out, by their reasons.
    """
    for number, pair in enumerate(pairs, start=first):
        source_ids, target_ids = source.encode(pair.source), target.encode(pair.target)
        if max_length is not None:
            shorter, longer = sorted((len(source_ids), len(target_ids)))
            if shorter == 0 or longer > max_length:
                if left_out is not None:
                    left_out[EMPTY if shorter == 0 else TOO_LONG] += 1
                continue
        links = None if alignments is None else alignments.of_pieces(number, pair, source, target)
        source_ids, target_ids = [*source_ids, source.eos_id], [target.bos_id, *target_ids, target.eos_id]
        yield EncodedPair(source_ids, target_ids, number, links)


class EncodedBlock(NamedTuple):
    """Consecutive pairs as arrays.

    Attributes:
        pieces: int32, of each pair the source's, then the target's.
        lengths: int32 [N, 2], of source and target.
        numbers: int64 [N], each pair's place in the text.
        left_out: how many pairs between them the filter has left out, by its reasons.
    """

    pieces: np.ndarray
    lengths: np.ndarray
    numbers: np.ndarray
    left_out: Counter[str]


def encode_blocks(
    pairs: Iterable[SentencePair], source: Vocabulary, target: Vocabulary, *, max_length: int | None, workers: int
) -> Iterator[EncodedBlock]:
    """Yield all pairs in order, encoded block by block; no more than a few blocks are ever in memory.

    Args:
        pairs, source, target, max_length: as in `encode_pairs`.
        workers: processes that encode; with 0 or 1 it is this one.
    """
    blocks = _numbered_blocks(pairs)
    if workers <= 1:
        for first, block in blocks:
            yield _encode(block, source, target, max_length, first)
        return
    with ProcessPoolExecutor(workers, initializer=_prepare, initargs=(source, target, max_length)) as pool:
        waiting: deque[Future[EncodedBlock]] = deque()
        try:
            for first, block in blocks:
                waiting.append(pool.submit(_encode_prepared, block, first))
                if len(waiting) >= _AHEAD * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _numbered_blocks(pairs: Iterable[SentencePair]) -> Iterator[tuple[int, list[SentencePair]]]:
    iterator, first = iter(pairs), 0
    while block := list(islice(iterator, _BLOCK)):
        yield first, block
        first += len(block)


def _encode(
    block: list[SentencePair], source: Vocabulary, target: Vocabulary, max_length: int | None, first: int
) -> EncodedBlock:
    left_out: Counter[str] = Counter()
    encoded = list(encode_pairs(block, source, target, max_length, first=first, left_out=left_out))
    pieces = [piece for pair in encoded for side in (pair.source, pair.target) for piece in side]
    lengths = [(len(pair.source), len(pair.target)) for pair in encoded]
    return EncodedBlock(
        np.array(pieces, np.int32),
        np.array(lengths, np.int32).reshape(-1, 2),
        np.array([pair.number for pair in encoded], np.int64),
        left_out,
    )


def _end_with_parent() -> None:
    """End this process as soon as the one that has started it ends, however that ends: nobody reads its blocks then."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


_prepared: tuple[Vocabulary, Vocabulary, int | None]


def _prepare(source: Vocabulary, target: Vocabulary, max_length: int | None) -> None:
    """Give a worker process what is the same for every block."""
    _end_with_parent()
    global _prepared
    _prepared = (source, target, max_length)


def _encode_prepared(block: list[SentencePair], first: int) -> EncodedBlock:
    return _encode(block, *_prepared, first)
