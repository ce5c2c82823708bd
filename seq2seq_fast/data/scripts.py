"""Scripts, and whether a text's words stand apart."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

_HAN = "\u3005-\u3007\u3100-\u312f\u31a0-\u31bf\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_KANA = "\u3041-\u30ff\u31f0-\u31ff\uff66-\uff9f"
# Thai, Lao, Tibetan, Myanmar, Khmer, Tai Le, New Tai Lue, Tai Tham, Balinese, Yi, Javanese, Tai Viet.
_OTHERS = (
    "\u0e01-\u0e4e\u0e80-\u0ece\u0f00-\u0fbc\u1000-\u109f\ua9e0-\ua9fe\uaa60-\uaa7f\u1780-\u17d3\u1950-\u197f"
    "\u1980-\u19df\u1a20-\u1a9f\u1b00-\u1b4c\ua000-\ua4cf\ua980-\ua9c0\uaa80-\uaadf"
)
_HANGUL = "\u1100-\u11ff\u3130-\u318f\uac00-\ud7ff"
# The letters and vowel signs of scripts that put no spaces between words.
UNSPACED = f"{_HAN}{_KANA}{_OTHERS}"
_PATTERNS = {
    "han": re.compile(f"[{_HAN}]"),
    "kana": re.compile(f"[{_KANA}]"),
    "others": re.compile(f"[{_OTHERS}]"),
    "hangul": re.compile(f"[{_HANGUL}]"),
}
# What ends a sentence, or a part of one, without a space behind it.
_SIGNS = "\u3001-\u3003\u3008-\u3011\u3014-\u301b\uff01-\uff0f\uff1a-\uff1f\uff61-\uff64"
_ENDS_WITHOUT_SPACE = re.compile(rf"[{UNSPACED}][^\w{_SIGNS}]*$")
_BEGINS_WITHOUT_SPACE = re.compile(rf"\W*[{UNSPACED}]")
_SPACED_OUT = re.compile(f"[{UNSPACED}] +[{UNSPACED}]")
_LETTER = re.compile(r"[^\W\d_]")
# So many letters between two spaces no language has on average that puts spaces between words.
_LONGEST_MEAN_WORD = 20


class Scripts(NamedTuple):
    """Shares of a text's letters, from 0 to 1.

    Attributes:
        han, kana: Chinese characters, and Japan's syllabic signs.
        others: letters of other scripts that put no spaces between words, such as Thai, Khmer or Tibetan.
        hangul: Korean syllables.
        word: how many letters stand between two spaces on average.
    """

    han: float
    kana: float
    others: float
    hangul: float
    word: float

    @property
    def unspaced(self) -> bool:
        """Whether a part of the text is in scripts, or of a length, without spaces between words."""
        return self.han + self.kana + self.others > 0.1 or self.word > _LONGEST_MEAN_WORD


def scripts_of(lines: Iterable[str]) -> Scripts:
    """Count the letters of a text."""
    found = dict.fromkeys(_PATTERNS, 0)
    letters = words = 0
    for line in lines:
        words += len(line.split())
        # Vowel signs are no letters to Unicode, so that those of scripts are counted with both.
        counts = {name: len(pattern.findall(line)) for name, pattern in _PATTERNS.items()}
        rest = re.sub(f"[{UNSPACED}{_HANGUL}]", "", line)
        letters += sum(counts.values()) + len(_LETTER.findall(rest))
        for name, count in counts.items():
            found[name] += count
    shares = {name: count / max(letters, 1) for name, count in found.items()}
    return Scripts(**shares, word=letters / max(words, 1))


def stands_apart(lines: Iterable[str]) -> bool:
    """Whether spaces separate the words of a text: where its script does without, someone may have put them in."""
    lines = [line for line in lines if len(line.strip()) > 3]
    scripts = scripts_of(lines)
    if not scripts.unspaced:
        return True
    spaced = sum(len(line.split()) > 1 for line in lines)
    return scripts.word <= 6 and 2 * spaced > len(lines)


def join_sentences(texts: Iterable[str]) -> str:
    """Return sentences as one text: with spaces between them, unless their script puts none there."""
    texts = [text for text in texts if text]
    spaced_out = any(_SPACED_OUT.search(text) for text in texts)
    joined = ""
    for text in texts:
        signed = re.search(f"[{_SIGNS}]$", joined) is not None
        unspaced = _ENDS_WITHOUT_SPACE.search(joined) and _BEGINS_WITHOUT_SPACE.match(text)
        together = not joined or (not spaced_out and (signed or unspaced))
        joined += text if together else f" {text}"
    return joined
