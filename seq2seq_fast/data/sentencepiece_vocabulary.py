"""Subword vocabularies by sentencepiece: byte-pair encoding (Sennrich et al. 2016) and unigram (Kudo 2018)."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import sentencepiece

from seq2seq_fast.data.base_vocabulary import Vocabulary
from seq2seq_fast.data.errors import InputError

# The trainer's, in bytes.
_LONGEST_LINE = 4192
_RESERVED = "\u2585"
# Words whose pieces are remembered: most of any text, in some tens of megabytes.
_KNOWN_WORDS, _LONGEST_KNOWN = 200_000, 40


class SentencePieceVocabulary(Vocabulary):
    """A sentencepiece model. Begin, end, padding and unknown have the numbers that the model gives them.

    Args:
        model: the serialized model (the content of a ``.model`` file).

    Raises:
        InputError: these are not the bytes of a model, or the model has no begin, end or padding piece.
    """

    suffix = ".model"

    def __init__(self, model: bytes) -> None:
        self._model = model
        self._processor = sentencepiece.SentencePieceProcessor()
        try:
            self._processor.LoadFromSerializedProto(model)
        except (RuntimeError, OSError):
            raise InputError("not a sentencepiece model") from None
        self.pad_id = self._processor.pad_id()
        self.unknown_id = self._processor.unk_id()
        self.bos_id = self._processor.bos_id()
        self.eos_id = self._processor.eos_id()
        self._specials = {self.pad_id, self.bos_id, self.eos_id}
        self._words: dict[str, list[int]] | None = {} if self._cuts_words_apart() else None
        if -1 in self._specials:
            raise InputError(
                "the sentencepiece model lacks a padding, begin or end piece; train it with --pad_id=0 "
                "--unk_id=1 --bos_id=2 --eos_id=3"
            )

    @classmethod
    def build(cls, lines: Iterable[str], kind: Literal["bpe", "unigram"], size: int) -> SentencePieceVocabulary:
        """Train a model of at most ``size`` pieces: fewer where the text does not hold as many."""
        model = io.BytesIO()
        sentences = [part for line in lines if line for part in _parts(line)]
        if not sentences:
            raise InputError("the vocabulary's training text is empty")
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(sentences),
                model_writer=model,
                model_type=kind,
                vocab_size=size,
                hard_vocab_limit=False,
                character_coverage=1.0,
                pad_id=0,
                unk_id=1,
                bos_id=2,
                eos_id=3,
                num_threads=1,
                minloglevel=2,
            )
        except (RuntimeError, ValueError) as error:
            raise InputError(f"no vocabulary of {size:,} pieces can be made: {_reason(error)}") from None
        return cls(model.getvalue())

    @classmethod
    def load(cls, path: str | Path) -> SentencePieceVocabulary:
        """Load a ``.model`` file."""
        try:
            return cls(Path(path).read_bytes())
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        except (UnicodeDecodeError, RuntimeError, ValueError) as error:
            raise InputError(f"{path}: a damaged vocabulary ({type(error).__name__}): bring it back") from None

    def __len__(self) -> int:
        return self._processor.GetPieceSize()

    def encode(self, text: str) -> list[int]:
        if self._words is None or "▁" in text:  # which sentencepiece may take for a space
            return self._processor.EncodeAsIds(text)
        ids: list[int] = []
        for word in text.split(" "):
            found = self._words.get(word)
            if found is None:
                found = self._processor.EncodeAsIds(word)
                if len(self._words) < _KNOWN_WORDS and len(word) <= _LONGEST_KNOWN:
                    self._words[word] = found
            ids += found
        return ids

    def _cuts_words_apart(self) -> bool:
        """Whether a text's pieces are those of its words, one after another, so that a word is cut only once.

        It is so unless a piece goes on beyond a space, or the model was trained to mark spaces otherwise.
        """
        pieces = map(self._processor.IdToPiece, range(len(self)))
        if any("▁" in piece[1:] and piece.strip("▁") for piece in pieces):
            return False
        # The second word has signs of Unicode's private area, which no vocabulary knows.
        words = ["a", "\ue000\ue001", "\ue000", "."]
        apart = [piece for word in words for piece in self._processor.EncodeAsIds(word)]
        return all(self._processor.EncodeAsIds(text) == apart for text in (" ".join(words), f" {'  '.join(words)} "))

    def segment(self, text: str) -> list[str]:
        return self._processor.EncodeAsPieces(text)

    def decode(self, ids: Sequence[int], unknown: Sequence[str] | None = None) -> str:
        known = [int(i) for i in ids if int(i) not in self._specials]
        if unknown is None:
            return self._processor.DecodeIds(known)
        replacements = iter(unknown)
        pieces = [next(replacements) if i == self.unknown_id else self._processor.IdToPiece(i) for i in known]
        # What is no piece of the model is left as it is, its sign for a space too.
        return self._processor.DecodePieces(pieces).replace("▁", " ").strip()

    def pieces(self, ids: Sequence[int]) -> list[str]:
        return [self._processor.IdToPiece(int(i)) for i in ids]

    def serialized(self) -> bytes:
        return self._model


def _parts(line: str) -> Iterator[str]:
    """Cut a line into parts that sentencepiece's trainer takes, at spaces where there are some: it drops longer ones.

    It drops lines with the sign that stands for an unknown piece in its own text too; that becomes a space.
    """
    line = line.replace(_RESERVED, " ").replace("\0", " ")
    while len(line.encode()) > _LONGEST_LINE:
        part = line.encode()[:_LONGEST_LINE].decode(errors="ignore")
        place = part.rfind(" ") + 1 or len(part)
        yield line[:place]
        line = line[place:]
    if line.strip():
        yield line


def _reason(error: Exception) -> str:
    """Return the sentence of sentencepiece's message that a person can use, without source file and line."""
    return re.sub(r"^.*\]\s*", "", str(error).strip().splitlines()[-1]) or "see sentencepiece's message above"
