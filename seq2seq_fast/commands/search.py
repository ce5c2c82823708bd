"""What the commands that translate share: the model, how to search, and where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

    from seq2seq_fast.decoding import Translator


def add_search(parser: ArgumentParser) -> None:
    from seq2seq_fast.decoding import SearchConfig

    parser.add_argument("model", type=str, help="Model folder that the train command wrote.")
    parser.add_class_arguments(SearchConfig, "search")
    parser.add_argument("--device", type=str, default="cpu", help="Where to translate: cpu, cuda, cuda:1, ...")


def load(namespace: Namespace) -> tuple[Translator, Any]:
    import torch

    from seq2seq_fast.data import InputError
    from seq2seq_fast.decoding import SearchConfig, Translator

    try:
        torch.empty(0, device=namespace.device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device {namespace.device}: {str(error).splitlines()[0]}") from None
    return Translator.load(namespace.model, namespace.device), SearchConfig(**namespace.search.as_dict())
