"""Answer questions on generated stories (in the manner of bAbI's first task, Weston et al. 2015).

People go to places; the question at the end asks where one of them is now, which the last move of that person says.

    python -m examples.question_answering
"""

from __future__ import annotations

import random
from pathlib import Path

from examples.common import PICTURES, Example, Score, Task, options, solve
from examples.pictures import draw_between_words

PEOPLE = ["mary", "john", "sandra", "daniel"]
PLACES = ["kitchen", "garden", "office", "hallway", "bathroom", "bedroom"]
MOVES = ["went to", "moved to", "ran to"]
SOURCE_WORDS = sorted({*PEOPLE, *PLACES, *" ".join(MOVES).split(), "the", ".", "where", "is", "?"})
ANSWER_WORDS = sorted({*PEOPLE, *PLACES, "is", "in", "the"})


def draw(generator: random.Random) -> Example:
    """Draw a story with its question, and the answer."""
    where, story = {}, []
    for _ in range(generator.randint(2, 5)):
        person, place = generator.choice(PEOPLE), generator.choice(PLACES)
        where[person] = place
        story += f"{person} {generator.choice(MOVES)} the {place} .".split()
    asked = generator.choice(sorted(where))
    return Example([*story, "where", "is", asked, "?"], f"{asked} is in the {where[asked]}".split())


TASK = Task(draw, draw, ANSWER_WORDS, SOURCE_WORDS)


def main(steps: int = 800, pictures: Path = PICTURES) -> Score:
    result, pairs = solve(TASK, steps=steps, shown=2)
    print(draw_between_words(pairs, pictures / "question_answering.png"))
    return result


if __name__ == "__main__":
    main(**options(__doc__, main))
