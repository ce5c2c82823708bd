"""``seq2seq-fast average``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace
    from torch import Tensor

    from seq2seq_fast.data import Vocabulary
    from seq2seq_fast.nn import Seq2Seq


def make_parser() -> ArgumentParser:
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(
        description="Write a model whose weights are the mean of several: of model folders, of checkpoints "
        "(MODEL/training/checkpoints/*.ckpt), or of the best or the last checkpoints that one training has kept. "
        "Of one checkpoint alone it makes the model folder that the other commands take.",
        usage="seq2seq-fast average MODEL (--best N | --last N) --output FOLDER\n"
        "       seq2seq-fast average INPUT INPUT [INPUT ...] --output FOLDER\n"
        "       seq2seq-fast average CHECKPOINT --output FOLDER",
        exit_on_error=False,
    )
    parser.add_argument(
        "inputs", type=str, nargs="+", help="Model folders that the train command wrote, or .ckpt files."
    )
    parser.add_argument(
        "--best", type=int, default=None, help="Average this many of the checkpoints with the best BLEU."
    )
    parser.add_argument("--last", type=int, default=None, help="Average this many of the last checkpoints.")
    parser.add_argument("--output", type=str, required=True, help="Folder to write the model to.")
    parser.add_argument(
        "--overwrite",
        type=bool,
        default=False,
        help="Replace the model that output already holds, or other files with the names of a model's.",
    )
    return parser


def run(namespace: Namespace) -> None:
    from seq2seq_fast.data import InputError
    from seq2seq_fast.decoding.model_folder import check_model_output, save_model_folder
    from seq2seq_fast.training.checkpoints import average_weights

    output = Path(namespace.output)
    check_model_output(output, overwrite=namespace.overwrite)
    inputs = _inputs(namespace)
    model, source, target = _model_of(inputs[0])
    states = [(str(path), _weights(path, [source, target])) for path in inputs]
    for path in inputs[1:]:
        _check_alike(model.config, path)
    weights = average_weights(states)
    if {name: value.shape for name, value in weights.items()} != {n: v.shape for n, v in model.state_dict().items()}:
        raise InputError(f"{inputs[0]}: is of another model than the folder {_folder_of(inputs[0])} holds")
    model.load_state_dict(weights)
    save_model_folder(output, model, source, target)
    what = "the average of" if len(inputs) > 1 else "the weights of"
    print(f"{output}: {what} {', '.join(path.name for path in inputs)}")


def _inputs(namespace: Namespace) -> list[Path]:
    from seq2seq_fast.data import InputError
    from seq2seq_fast.training.checkpoints import kept_checkpoints

    inputs = [Path(name) for name in namespace.inputs]
    if namespace.best is not None and namespace.last is not None:
        raise InputError("--best and --last exclude each other: give one of them")
    which: Literal["best", "last"] = "last" if namespace.best is None else "best"
    count = namespace.last if namespace.best is None else namespace.best
    if count is None:
        if len(inputs) < 2 and inputs[0].suffix != ".ckpt":
            raise InputError(f"{inputs[0]}: one alone has no average: name another, or give --best N or --last N")
        return inputs
    if len(inputs) > 1 or count < 1:
        raise InputError(f"--{which} takes at least 1 checkpoint of one model folder; got {count} of {len(inputs)}")
    return kept_checkpoints(inputs[0] / "training" / "checkpoints", which, count)


def _folder_of(path: Path) -> Path:
    """The model folder that an input is, or whose training has kept it as a checkpoint."""
    from seq2seq_fast.data import InputError

    if path.suffix != ".ckpt":
        return path
    places = path.absolute().parts
    if places[-3:-1] != ("training", "checkpoints"):
        raise InputError(f"{path}: a checkpoint must lie where its training kept it, in MODEL/training/checkpoints")
    return Path(*places[:-3])


def _model_of(path: Path) -> tuple[Seq2Seq, Vocabulary, Vocabulary]:
    """The model of an input and its vocabularies; a training that has not ended has them beside its checkpoints."""
    from seq2seq_fast.data import InputError
    from seq2seq_fast.decoding.model_folder import WEIGHTS, load_model_folder, load_vocabularies
    from seq2seq_fast.nn import Seq2Seq
    from seq2seq_fast.nn.stored import check_weights
    from seq2seq_fast.training.checkpoints import read_weights
    from seq2seq_fast.training.checks import model_config
    from seq2seq_fast.training.settings import SETTINGS, read_settings

    folder = _folder_of(path)
    work = folder / "training"
    if path.suffix != ".ckpt" or (folder / WEIGHTS).exists() or not (work / SETTINGS).is_file():
        return load_model_folder(folder)
    settings, vocabularies = read_settings(work / SETTINGS), load_vocabularies(work)
    config = model_config(settings["model"], vocabularies)
    try:
        check_weights(Seq2Seq, config, {name: tuple(value.shape) for name, value in read_weights(path).items()})
    except ValueError as error:
        raise InputError(f"{path}: is of another model than {work / SETTINGS} names ({error})") from None
    return Seq2Seq(config), *vocabularies


def _check_alike(config: Any, path: Path) -> None:
    """Raise InputError where the model of an input computes something else from weights of the same shapes."""
    from seq2seq_fast.data import InputError
    from seq2seq_fast.decoding.model_folder import load_model_folder
    from seq2seq_fast.training.settings import NOT_OF_THE_ARCHITECTURE

    if path.suffix == ".ckpt":
        return
    model, *_ = load_model_folder(path)
    for name, value in vars(config).items():
        if name not in NOT_OF_THE_ARCHITECTURE and getattr(model.config, name) != value:
            raise InputError(f"{path}: has {name}={getattr(model.config, name)!r}, the first input {value!r}")


def _weights(path: Path, vocabularies: list[Any]) -> dict[str, Tensor]:
    from seq2seq_fast.data import InputError
    from seq2seq_fast.decoding.model_folder import load_model_folder, load_vocabularies
    from seq2seq_fast.training.checkpoints import read_weights

    if path.suffix == ".ckpt":
        training = _folder_of(path) / "training"
        weights, others = read_weights(path), [*load_vocabularies(training)]
    else:
        model, *others = load_model_folder(path)
        weights = model.state_dict()
    if [each.serialized() for each in others] != [each.serialized() for each in vocabularies]:
        raise InputError(f"{path}: its vocabularies are others than the first input's: they cannot be averaged")
    return weights
