"""Summarise generated reports: what happened, who did it and where, out of several sentences.

Of the sentences only one is an event; the others are scenery, and the summary is a headline of the event.

    python -m examples.summarisation
"""

from __future__ import annotations

import random
from pathlib import Path

from examples.common import PICTURES, Example, Score, Task, options, solve
from examples.pictures import draw_between_words

PEOPLE = ["anna", "ben", "carla", "david", "emma", "felix", "greta", "hugo", "ida", "jonas"]
PLACES = ["paris", "oslo", "lima", "cairo", "delhi", "quito", "seoul", "tunis"]
# What the report says, and what the headline makes of it.
EVENTS = {
    "won the race": "wins race", "opened a bakery": "opens bakery", "found a treasure": "finds treasure",
    "lost the election": "loses election", "painted the bridge": "paints bridge", "sold the farm": "sells farm",
}  # fmt: skip
SCENERY = [
    "the weather was {} all day",
    "the {} streets were full of people",
    "a {} dog slept on the stairs",
    "the band played {} songs",
]
DETAILS = ["fine", "cold", "wet", "old", "slow", "new", "loud", "grey"]
SOURCE_WORDS = sorted(
    {*PEOPLE, *PLACES, *DETAILS, *" ".join((*EVENTS, *SCENERY)).replace("{}", "").split(), "in", "today", "."}
)
SUMMARY_WORDS = sorted({*PEOPLE, *PLACES, "in", *" ".join(EVENTS.values()).split()})


def draw(generator: random.Random) -> Example:
    """Draw a report and its headline, as words."""
    person, place = generator.choice(PEOPLE), generator.choice(PLACES)
    said, headline = generator.choice(list(EVENTS.items()))
    order = generator.choice([f"today {person} {said} in {place}", f"in {place} {person} {said}"])
    scenery = generator.sample(SCENERY, generator.randint(2, 4))
    sentences = [sentence.format(generator.choice(DETAILS)) for sentence in scenery]
    sentences.insert(generator.randint(0, len(sentences)), order)
    return Example(" . ".join([*sentences, ""]).split(), f"{person} {headline} in {place}".split())


TASK = Task(draw, draw, SUMMARY_WORDS, SOURCE_WORDS)


def main(steps: int = 300, pictures: Path = PICTURES) -> Score:
    result, pairs = solve(TASK, steps=steps, shown=2)
    print(draw_between_words(pairs, pictures / "summarisation.png"))
    return result


if __name__ == "__main__":
    main(**options(__doc__, main))
