"""``seq2seq-fast align``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from seq2seq_fast.commands.output import check_outputs, check_standard_output
from seq2seq_fast.commands.search import add_search, load

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

    from seq2seq_fast.decoding import Translation, Translator
    from seq2seq_fast.decoding.given import PieceAttention
    from seq2seq_fast.decoding.words import WordAttention
    from seq2seq_fast.evaluation import AlignmentQuality


def make_parser() -> ArgumentParser:
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(
        description="Align words by the attention, of given translations (--ref) or of the model's own: as Pharaoh "
        "text (a line a sentence, 0-0 2-1: source word, target word), as maps, or compared with annotated links.",
        usage="seq2seq-fast align MODEL --src FILE [--ref FILE] [--output FILE] [--picture FILE] [--FLAG VALUE ...]",
        exit_on_error=False,
    )
    add_search(parser, long=True)
    parser.add_argument("--src", type=str, required=True, help="Source sentences, one a line.")
    parser.add_argument("--ref", type=str, default=None, help="Their translations; without, the model translates.")
    parser.add_argument(
        "--output",
        type=str,
        default=None,
        help="File for the links; standard output (-) where neither a picture nor gold is asked for.",
    )
    parser.add_argument("--translations", type=str, default=None, help="File for the model's translations.")
    parser.add_argument("--picture", type=str, default=None, help="Sheet of maps: .png, .svg or .pdf.")
    parser.add_argument("--lines", type=int, nargs="+", default=None, help="Lines to draw, from 1; the first four.")
    parser.add_argument("--columns", type=int, default=2, help="Maps side by side.")
    parser.add_argument(
        "--gold",
        type=str,
        default=None,
        help="Annotated links of the pairs, Pharaoh text with 3-4 for sure and 3?4 for possible ones: print AER, "
        "precision and recall.",
    )
    parser.add_argument(
        "--words",
        type=Literal["auto", "spaces", "signs"],
        default="auto",
        help="What a word is: what stands between spaces; or signs, such as full stops, are words of their own. In "
        "text without spaces between words, such as Chinese or Thai, auto and signs make each character a word.",
    )
    parser.add_argument(
        "--merge",
        type=Literal["mean", "max"],
        default="mean",
        help="A word's weight from its pieces': sum over source and mean over target pieces, or the largest.",
    )
    parser.add_argument(
        "--threshold", type=float, default=None, help="Link also all source words with at least this weight."
    )
    return parser


def run(namespace: Namespace) -> None:
    from seq2seq_fast.data.files import write_lines
    from seq2seq_fast.data.pharaoh import pharaoh_line
    from seq2seq_fast.decoding.words import attention_of_words, kinds_of, links

    _check(namespace)
    translator, search = load(namespace)
    attentions = _attend(namespace, translator, search)
    kinds = kinds_of(attentions, namespace.words)
    found = [attention_of_words(one, kinds, namespace.merge) for one in attentions]
    linked = [links(one, namespace.threshold) for one in found]
    if namespace.picture is not None:
        _draw(namespace, found)
    quality = None if namespace.gold is None else _compare(namespace.gold, found, linked)
    if namespace.output not in (None, "-"):
        write_lines(namespace.output, map(pharaoh_line, linked))
    if quality is not None:
        print(quality)
    if _on_standard_output(namespace):
        sys.stdout.writelines(f"{pharaoh_line(one)}\n" for one in linked)


def _on_standard_output(namespace: Namespace) -> bool:
    """Whether the links go to standard output."""
    return namespace.output == "-" or (namespace.output is namespace.picture is namespace.gold is None)


def _check(namespace: Namespace) -> None:
    from seq2seq_fast.data import InputError, check_ranges
    from seq2seq_fast.visualization.picture import check_picture

    check_ranges("align", namespace, at_least={"columns": 1})
    links = None if namespace.output == "-" else namespace.output
    outputs = {"output": links, "translations": namespace.translations, "picture": namespace.picture}
    check_outputs(outputs, namespace.src, namespace.ref, namespace.gold)
    if _on_standard_output(namespace) or not any(outputs.values()):
        check_standard_output()
    if namespace.picture is not None:
        check_picture(namespace.picture)
    if namespace.gold is not None and namespace.ref is None:
        raise InputError("--gold judges given translations: give them with --ref")
    if namespace.ref is not None and namespace.long in ("cut", "split"):
        raise InputError(f"--long {namespace.long} is for the model's own translations: with --ref give skip or refuse")
    if namespace.translations is not None and namespace.ref is not None:
        raise InputError("--translations and --ref exclude each other: nothing is translated where --ref is given")


def _attend(namespace: Namespace, translator: Translator, search: Any) -> list[PieceAttention]:
    from seq2seq_fast.data import InputError, read_lines, read_pairs
    from seq2seq_fast.data.files import write_lines
    from seq2seq_fast.decoding.ensemble import has_attention
    from seq2seq_fast.decoding.given import attend_to_given
    from seq2seq_fast.decoding.long_sentences import search_each

    if not has_attention(translator.model):
        raise InputError(f"{namespace.model}: the model has no attention, so it aligns nothing")
    if namespace.ref is not None:
        pairs: list[tuple[str, str]] = [(pair.source, pair.target) for pair in read_pairs(namespace.src, namespace.ref)]
        if namespace.long == "skip":
            pairs = _without_long(translator, pairs, search.max_source_length, namespace.src)
        return attend_to_given(
            translator,
            pairs,
            batch_tokens=search.batch_tokens,
            max_length=search.max_source_length,
            origins=(f"{namespace.src}: line", f"{namespace.ref}: line"),
        )
    endless: Any = "cut" if namespace.long == "split" else namespace.long
    sentences = list(read_lines(namespace.src, endless))
    if not sentences:
        raise InputError(f"{namespace.src}: the file is empty")
    origin = (f"{namespace.src}: line", 1)
    long = namespace.long
    found = [one[0] for one in search_each(translator, sentences, search, long, need_weights=True, origin=origin)]
    if namespace.translations is not None:
        write_lines(namespace.translations, [one.text for one in found])
    return [_attention(translator, sentence, one) for sentence, one in zip(sentences, found, strict=True)]


def _without_long(translator: Translator, pairs: list[tuple[str, str]], most: int, name: str) -> list[tuple[str, str]]:
    """The pairs, empty in the places of those that are too long."""
    from seq2seq_fast.progress import tell

    kept = []
    for number, pair in enumerate(pairs, start=1):
        vocabularies = (translator.source_vocabulary, translator.target_vocabulary)
        longest = max(len(vocabulary.encode(text)) for vocabulary, text in zip(vocabularies, pair, strict=True))
        if longest > most:
            tell(
                f"seq2seq-fast: warning: {name}: line {number:,} is too long, with {longest:,} pieces: it has no links"
            )
        kept.append(("", "") if longest > most else pair)
    return kept


def _attention(translator: Translator, sentence: str, found: Translation) -> PieceAttention:
    """The attention of a translation, of its parts where the sentence was too long; what was cut off has no links."""
    import torch

    from seq2seq_fast.decoding.given import PieceAttention

    if found.weights is None:
        return PieceAttention([], [], torch.zeros(0, 1))
    vocabulary = translator.source_vocabulary
    end, unknown = vocabulary.pieces([vocabulary.eos_id, vocabulary.unknown_id])
    places = [place for place, piece in enumerate(found.source_pieces) if piece != end]
    ends = [place for place, piece in enumerate(found.source_pieces) if piece == end]
    pieces, segments = [found.source_pieces[place] for place in places], vocabulary.segment(sentence)
    # The text of unknown pieces too, unless a word that was cut in two has other pieces.
    same = len(segments) >= len(pieces) and all(
        piece in (segment, unknown) for piece, segment in zip(pieces, segments, strict=False)
    )
    weights = found.weights.float().cpu()
    weights = torch.cat([weights[:, places], weights[:, ends].sum(1, keepdim=True)], dim=1)
    return PieceAttention(segments[: len(pieces)] if same else pieces, found.target_pieces, weights)


def _draw(namespace: Namespace, found: Sequence[WordAttention]) -> None:
    from seq2seq_fast.data import InputError
    from seq2seq_fast.progress import told_warnings
    from seq2seq_fast.visualization import Alignment, draw_alignments

    numbers = namespace.lines or range(1, min(4, len(found)) + 1)
    beyond = next((number for number in numbers if not 1 <= number <= len(found)), None)
    if beyond is not None:
        raise InputError(f"--lines {beyond}: {namespace.src} has the lines 1 to {len(found):,}")
    drawn = [found[number - 1] for number in numbers if found[number - 1].target]
    if not drawn:
        raise InputError(f"{namespace.src}: the lines to draw are empty")
    maps = [Alignment([*one.source, "</s>"], one.target, one.weights) for one in drawn]
    with told_warnings():
        draw_alignments(maps, namespace.picture, columns=namespace.columns)


def _compare(
    path: str, found: Sequence[WordAttention], linked: Sequence[tuple[tuple[int, int], ...]]
) -> AlignmentQuality:
    from seq2seq_fast.data import InputError
    from seq2seq_fast.data.pharaoh import read_gold
    from seq2seq_fast.evaluation import alignment_quality

    gold = read_gold(path)
    if len(gold) != len(found):
        raise InputError(f"{path} has {len(gold):,} lines but there are {len(found):,} pairs")
    for number, (annotated, pair) in enumerate(zip(gold, found, strict=True), start=1):
        for source, target in annotated.possible if pair.target else ():
            if source >= len(pair.source) or target >= len(pair.target):
                raise InputError(
                    f"{path}: line {number}: {source}-{target} is beyond its {len(pair.source)} and {len(pair.target)} "
                    "words: were others counted (see --words)?"
                )
    return alignment_quality(linked, gold)
