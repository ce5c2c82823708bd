"""From alignments of words to alignments of pieces."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Literal, NamedTuple

from seq2seq_fast.data.base_vocabulary import Vocabulary
from seq2seq_fast.data.errors import InputError
from seq2seq_fast.data.pharaoh import Links
from seq2seq_fast.data.text import SentencePair
from seq2seq_fast.data.token_vocabulary import tokenize
from seq2seq_fast.data.word_pattern import SPACE

WordUnit = Literal["spaces", "signs"]


class WordAlignments(NamedTuple):
    """The word alignments of a corpus.

    Attributes:
        name: their file, for errors.
        links: of each sentence pair.
        unit: what their words are: "spaces", what stands between spaces; "signs", words and signs, each sign a word.
    """

    name: str
    links: Sequence[Links]
    unit: WordUnit = "spaces"

    def of_pieces(self, number: int, pair: SentencePair, source: Vocabulary, target: Vocabulary) -> Links | None:
        """Return the links (source piece, target piece) of a pair, ascending.

        Every piece of a word is linked to every piece of the words that it is linked to.

        Args:
            number: the pair's place in the corpus.
            pair: its text.
            source, target: the vocabularies.

        Returns:
            The links; None where the pieces' text is not that of the words, since the vocabulary has changed it.

        Raises:
            InputError: a link is to a word that the pair does not have.
        """
        words = split_words(pair.source, self.unit), split_words(pair.target, self.unit)
        outside = next(
            (link for link in self.links[number] if link[0] >= len(words[0]) or link[1] >= len(words[1])), None
        )
        if outside is not None:
            raise InputError(
                f"{self.name}: line {number + 1}: {outside[0]}-{outside[1]} links a word that is not there: the "
                f"sentences have {len(words[0])} and {len(words[1])} words, counted from 0"
            )
        sources = pieces_of_words(source.segment(pair.source), words[0])
        targets = pieces_of_words(target.segment(pair.target), words[1])
        if sources is None or targets is None:
            return None
        links = {(s, t) for i, j in self.links[number] for s in sources[i] for t in targets[j]}
        return tuple(sorted(links))


def split_words(text: str, unit: WordUnit) -> list[str]:
    """Return the words of a text that an alignment counts, see `WordAlignments`."""
    return (
        [word for word in re.split("[ \t]+", text) if word]
        if unit == "spaces"
        else [token.strip(SPACE) for token in tokenize(text, "words")]
    )


def pieces_of_words(pieces: Sequence[str], words: Sequence[str]) -> list[list[int]] | None:
    """Return for each word the places of the pieces that share a character with it.

    Args:
        pieces: as `Vocabulary.segment` gives them; a piece that is a space alone belongs to no word.
        words: of the same text.

    Returns:
        None where pieces and words are not of the same characters, in Unicode's compatibility form neither.
    """
    letters = [piece.replace(SPACE, "") for piece in pieces]
    words = ["".join(word.split()) for word in words]  # a no-break space joins a word and is in none of its pieces
    if "".join(letters) != "".join(words):
        letters, words = ([unicodedata.normalize("NFKC", one) for one in side] for side in (letters, words))
        if "".join(letters) != "".join(words):
            return None
    piece_of_letter = [place for place, text in enumerate(letters) for _ in text]
    found, begin = [], 0
    for word in words:
        found.append(sorted(set(piece_of_letter[begin : begin + len(word)])))
        begin += len(word)
    return found
