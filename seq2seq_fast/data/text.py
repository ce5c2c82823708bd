"""Lines and sentence pairs from text files: plain or gzip-compressed, one sentence a line, or two columns in TSV."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

from seq2seq_fast.data.errors import InputError
from seq2seq_fast.progress import tell

# Bytes, the line break among them: far more than any model reads, and few enough for any memory.
LONGEST_LINE = 2**20
# Of a longer one so many times as much is read to find its end.
_MOST_BLOCKS = 1024
Endless = Literal["refuse", "cut", "skip"]


class SentencePair(NamedTuple):
    """A source sentence and its translation, as text without the line break."""

    source: str
    target: str


def read_lines(path: str | Path, endless: Endless = "refuse") -> Iterator[str]:
    """Yield the lines of a UTF-8 text file, without their line breaks.

    A name that ends in ``.gz`` is decompressed. Lines end at a line feed, with or without a carriage return before it,
    and at nothing else, so a sign that Unicode also counts as a line break cannot shift one side of a corpus.

    Args:
        path: the file.
        endless: what becomes of a line of more than `LONGEST_LINE` bytes: an error; its beginning; or an empty line.
            What is left out is told on standard error.

    Raises:
        InputError: the file is missing, unreadable, no gzip file, or not UTF-8 or has a line without end (naming the
            line).
    """
    path = Path(path)
    try:
        with _open(path) as stream:
            yield from decode_lines(stream, str(path), endless)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder, a text file is wanted") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path}: not a complete gzip file ({error})") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None


def decode_lines(stream: BinaryIO, name: str, endless: Endless = "refuse") -> Iterator[str]:
    """Decode lines of bytes as UTF-8; ``name`` stands in the error, as the file does in that of `read_lines`."""
    number = 0
    while line := stream.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            line = _beginning(stream, line, f"{name}: line {number:,}", endless)
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{name}: line {number} is not UTF-8 (byte {error.start + 1} of the line): convert the text, with "
                "iconv -f ISO-8859-1 -t UTF-8, say"
            ) from None
        yield text.rstrip("\r\n")


def _beginning(stream: BinaryIO, line: bytes, name: str, endless: Endless) -> bytes:
    """Return what is to be taken of a line that goes on in the stream, and read that to the line's end."""
    said = f"{name} has more than {LONGEST_LINE:,} bytes"
    if endless != "refuse":
        rest = line
        for _ in range(_MOST_BLOCKS):
            if not rest or rest.endswith(b"\n"):
                tell(f"seq2seq-fast: warning: {said}: {'it is left empty' if endless == 'skip' else 'it is cut there'}")
                end = LONGEST_LINE
                while line[end] & 0xC0 == 0x80 and end > LONGEST_LINE - 4:  # within a character
                    end -= 1
                return b"" if endless == "skip" else line[:end]
            rest = stream.readline(LONGEST_LINE)
    raise InputError(f"{said}: is it text, one sentence a line? Break it, or take it out")


def check_text(text: str, name: str) -> None:
    """Check that a text can be written as UTF-8; ``name`` stands in the error.

    Raises:
        InputError: it has half a character, as an argument of the command line that is not UTF-8 does.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"{name} {text!a:.60} is no text in UTF-8") from None


def read_pairs(source: str | Path, target: str | Path | None = None) -> list[SentencePair]:
    """Read the sentence pairs that `stream_pairs` yields into memory; see there."""
    return list(stream_pairs(source, target))


def stream_pairs(source: str | Path, target: str | Path | None = None) -> Iterator[SentencePair]:
    """Yield sentence pairs of two files of equally many lines, or of one TSV file of two columns, line by line.

    Args:
        source: the source side, one sentence a line; or the TSV file (source, tab, target) where ``target`` is None.
        target: the target side, line N translating line N of ``source``.

    Raises:
        InputError: a file cannot be read, the line counts differ, a TSV line has not two columns, or there is no pair.
    """
    empty = True
    for pair in _read_tsv(Path(source)) if target is None else _zipped(source, target):
        empty = False
        yield pair
    if empty:
        raise InputError(f"{source}: the file is empty")


def _zipped(source: str | Path, target: str | Path) -> Iterator[SentencePair]:
    counts = [0, 0]
    for sides in zip_longest(read_lines(source), read_lines(target)):
        for side, line in enumerate(sides):
            counts[side] += line is not None
        if sides[0] is not None and sides[1] is not None:
            yield SentencePair(sides[0].strip(), sides[1].strip())
    if counts[0] != counts[1]:
        raise InputError(
            f"{source} has {counts[0]:,} lines but {target} has {counts[1]:,}: "
            "line N of one must translate line N of the other"
        )


def _read_tsv(path: Path) -> Iterator[SentencePair]:
    for number, line in enumerate(read_lines(path), start=1):
        columns = line.split("\t")
        if len(columns) != 2:
            raise InputError(
                f"{path}: line {number} has {len(columns)} tab-separated columns, two are wanted (source, target); "
                "for two text files give the target file too"
            )
        yield SentencePair(columns[0].strip(), columns[1].strip())


def _open(path: Path) -> BinaryIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rb")  # type: ignore[return-value]
    return path.open("rb")
