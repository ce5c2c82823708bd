"""What the commands that translate share: the model, how to search, and where."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

    from seq2seq_fast.decoding import Translator


def add_search(parser: ArgumentParser, *, long: bool = False) -> None:
    """Add the model, the search and the device; ``long`` adds what to do with sentences that are too long."""
    from seq2seq_fast.decoding import SearchConfig

    parser.add_argument("model", type=str, help="Model folder that the train command wrote.")
    parser.add_argument(
        "--ensemble",
        type=str,
        nargs="+",
        default=[],
        metavar="MODEL",
        help="More model folders, with the same vocabularies, that translate together with the first.",
    )
    parser.add_argument(
        "--ensemble_average",
        type=Literal["probabilities", "log_probabilities"],
        default="probabilities",
        help="What an ensemble averages.",
    )
    parser.add_class_arguments(SearchConfig, "search")
    if long:
        parser.add_argument(
            "--long",
            type=Literal["refuse", "cut", "split", "skip"],
            default="refuse",
            help="What to do with a sentence of more than search.max_source_length pieces, or too long for the memory: "
            "end there with an error; translate its beginning; translate its parts, cut at sentence ends; or leave its "
            "translation empty.",
        )
    parser.add_argument("--device", type=str, default="cpu", help="Where to translate: cpu, cuda, cuda:1, ...")


def load(namespace: Namespace) -> tuple[Translator, Any]:
    import torch

    from seq2seq_fast.data import InputError
    from seq2seq_fast.decoding import SearchConfig, Translator

    if not re.fullmatch(r"cpu|cuda(:\d+)?", namespace.device):
        raise InputError(f"device {namespace.device}: there are cpu, cuda, and cuda:N for GPU N of several")
    try:
        torch.empty(0, device=namespace.device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device {namespace.device}: {str(error).splitlines()[0]}") from None
    search = SearchConfig(**namespace.search.as_dict())
    if not namespace.ensemble:
        return Translator.load(namespace.model, namespace.device), search
    folders = [namespace.model, *namespace.ensemble]
    return Translator.load_ensemble(folders, namespace.device, namespace.ensemble_average), search
