"""What the examples share: a task, the model that learns it, and how well it has learnt it."""

from __future__ import annotations

import argparse
import inspect
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from seq2seq_fast.decoding import greedy_search
from seq2seq_fast.nn import Seq2Seq, Seq2SeqConfig

PAD, BEGIN, END = range(3)
PICTURES = Path(__file__).parent / "pictures"


class Example(NamedTuple):
    """A source (features [Tx, F], or Tx words) and the words that are wanted for it."""

    source: Tensor | list[str]
    words: list[str]


class Found(NamedTuple):
    """The words that the model finds for a source, and the attention of each to its positions, [words, Tx]."""

    words: list[str]
    weights: Tensor


class Score(NamedTuple):
    """Shares from 0 to 1: of the sources without a mistake, and of words to correct (word error rate)."""

    exact: float
    word_errors: float


@dataclass(frozen=True)
class Task:
    """What is to be learnt.

    Attributes:
        draw: draws an example of the training.
        draw_test: draws one of the test.
        words: those that the model may write.
        source_words: those that it may read; None where the sources are features.
        size: of the features or of the words' embedding.
        dropout: share of units dropped before the output, a third of it on the source; for examples that are few.
    """

    draw: Callable[[random.Random], Example]
    draw_test: Callable[[random.Random], Example]
    words: Sequence[str]
    source_words: Sequence[str] | None = None
    size: int = 48
    dropout: float = 0.0


class Learner:
    """A `seq2seq_fast.nn.Seq2Seq` of a few ten thousand parameters, and the vocabularies of its task."""

    def __init__(self, task: Task, hidden: int = 80, seed: int = 1) -> None:
        torch.manual_seed(seed)
        self.task = task
        self.words = ["<pad>", "<s>", "</s>", *task.words]
        self.ids = {word: number for number, word in enumerate(self.words)}
        self.source_ids = {word: number for number, word in enumerate(task.source_words or ())}
        self.model = Seq2Seq(
            Seq2SeqConfig(
                target_vocabulary_size=len(self.words),
                source_vocabulary_size=len(self.source_ids) or None,
                source_size=task.size,
                target_size=32,
                encoder_hidden_size=hidden,
                decoder_hidden_size=hidden,
                dropout=task.dropout,
                embedding_dropout=task.dropout / 3,
            )
        )

    def sources(self, examples: Sequence[Example]) -> tuple[Tensor, Tensor]:
        """Return the padded sources, features [B, Tx, F] or tokens [B, Tx], and their lengths [B]."""
        rows = [
            one.source if isinstance(one.source, Tensor) else torch.tensor([self.source_ids[w] for w in one.source])
            for one in examples
        ]
        return pad_sequence(rows, batch_first=True), torch.tensor([len(row) for row in rows])

    def loss(self, examples: Sequence[Example]) -> Tensor:
        """Return the cross-entropy a word, the decoder reading the words that are wanted."""
        rows = [torch.tensor([BEGIN, *(self.ids[word] for word in one.words), END]) for one in examples]
        target = pad_sequence(rows, batch_first=True, padding_value=PAD)
        output = self.model(*self.sources(examples), target[:, :-1], need_weights=False)
        logits = self.model.logits(output.readout)
        return nn.functional.cross_entropy(logits.flatten(0, 1), target[:, 1:].flatten(), ignore_index=PAD)

    def train(self, steps: int, *, batch: int = 32) -> float:
        """Train on examples drawn anew for each step, with Adam and a rate that falls to zero; return the last loss."""
        generator = random.Random(1)
        optimizer = torch.optim.Adam(self.model.parameters(), lr=4e-3)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        started, value = time.perf_counter(), float("nan")
        self.model.train()
        for step in range(1, steps + 1):
            loss = self.loss([self.task.draw(generator) for _ in range(batch)])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            if step % 100 == 0 or step == steps:
                value = float(loss.detach())
                print(f"step {step:5}, {time.perf_counter() - started:5.1f} s: loss {value:.3f}", flush=True)
        return value

    def describe(self, examples: Sequence[Example]) -> list[Found]:
        """Return for each source the words that greedy search finds, with their attention."""
        source, lengths = self.sources(examples)
        found = greedy_search(self.model.eval(), source, lengths, bos_id=BEGIN, eos_id=END, need_weights=True)
        return [Found([self.words[token] for token in one.tokens], one.weights) for one in found]


def word_errors(found: Sequence[str], wanted: Sequence[str]) -> int:
    """Return how many words must be put in, left out or replaced to make one sequence the other (Levenshtein)."""
    row = list(range(len(wanted) + 1))
    for i, word in enumerate(found, 1):
        above, row = row, [i]
        for j, other in enumerate(wanted, 1):
            row.append(min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (word != other)))
    return row[-1]


def score(found: Sequence[Found], wanted: Sequence[Example]) -> Score:
    """Compare what was found with what was wanted."""
    errors = [word_errors(one.words, example.words) for one, example in zip(found, wanted, strict=True)]
    return Score(errors.count(0) / len(errors), sum(errors) / sum(len(example.words) for example in wanted))


def solve(task: Task, *, steps: int, shown: int, tested: int = 500) -> tuple[Score, list[tuple[Example, Found]]]:
    """Train on a task and test on fresh examples of it.

    Returns:
        The score, and of the tested examples those with the most different words, as many as are to be shown.
    """
    learner = Learner(task)
    learner.train(steps)
    generator = random.Random(2)
    test = [task.draw_test(generator) for _ in range(tested)]
    found = learner.describe(test)
    result = score(found, test)
    print(f"{tested} test sources: {result.exact:.1%} without a mistake, word error rate {result.word_errors:.1%}")
    pairs = sorted(zip(test, found, strict=True), key=lambda pair: -len(set(pair[0].words)))[:shown]
    for example, one in pairs:
        print("wanted:", " ".join(example.words), "\nfound: ", " ".join(one.words))
    return result, pairs


def options(description: str, main: Callable[..., Any]) -> dict[str, Any]:
    """Read the examples' command line: arguments for `main`, with its own defaults."""
    steps = inspect.signature(main).parameters["steps"].default
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=steps, help=f"steps of training (default: {steps})")
    parser.add_argument("--pictures", type=Path, default=PICTURES, help="folder for the picture")
    return vars(parser.parse_args())
