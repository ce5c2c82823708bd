"""Describe a strip of handwritten digits in words: an image read column by column.

The images are scikit-learn's (UCI, 8 x 8 pixels); those of the test were not trained on.

    python -m examples.captioning
"""

from __future__ import annotations

import random
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from examples.common import PICTURES, Example, Score, Task, options, solve
from examples.pictures import draw_over_features

WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
_DIGITS_A_STRIP = (2, 5)
_TEST_SHARE = 5


@lru_cache
def images() -> tuple[Tensor, list[int]]:
    """Return the images, float32 [1797, 8, 8] from 0 to 1, and the digits that they show."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return torch.tensor(data.images, dtype=torch.float32) / 16, data.target.tolist()


def places(generator: random.Random, test: bool) -> list[int]:
    """Draw which images a strip shows: of each five images one is kept for the test."""
    _, digits = images()
    part = [i for i in range(len(digits)) if (i % _TEST_SHARE == 0) == test]
    return generator.choices(part, k=generator.randint(*_DIGITS_A_STRIP))


def draw(generator: random.Random, test: bool = False) -> Example:
    """Draw a strip of digits with gaps between them: its columns are the positions, their 8 pixels the features."""
    pixels, digits = images()
    shown = places(generator, test)
    columns = [torch.cat([pixels[place].T, torch.zeros(generator.randint(0, 3), 8)]) for place in shown]
    return Example(torch.cat(columns), [WORDS[digits[place]] for place in shown])


TASK = Task(draw, lambda generator: draw(generator, test=True), WORDS, size=8, dropout=0.3)


def main(steps: int = 800, pictures: Path = PICTURES) -> Score:
    result, [(example, found)] = solve(TASK, steps=steps, shown=1)
    print(draw_over_features(example.source, found, pictures / "captioning.png"))
    return result


if __name__ == "__main__":
    main(**options(__doc__, main))
