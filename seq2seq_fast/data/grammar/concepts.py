"""What the sentences of the embedded corpus can speak of: concepts, named by their English words, and how they combine.

A language's lexicon has an entry for each of them, and nothing here belongs to one language.
"""

from __future__ import annotations

from typing import NamedTuple

_list = str.split

PERSONS = _list(
    "teacher woman man child girl doctor friend mother father brother sister daughter son uncle aunt baker cook driver "
    "painter singer waiter farmer nurse engineer writer grandmother grandfather king queen guest judge thief player "
    "pupil neighbour tourist"
)
ANIMALS = _list("dog cat horse bird cow mouse")
NAMES = _list("Anna Peter Maria Paul Lena Thomas Julia Felix Sophie Lukas Clara David Emma Martin Laura Simon")
TEXTS = _list("book letter newspaper story poem report card")
FOOD = _list("apple cake egg sausage pear potato tomato carrot soup banana")
CLOTHES = _list("hat coat shirt dress shoe")
DEVICES = _list("lamp computer phone camera")
OPENINGS = _list("door window bottle box bag")
GOODS = _list(
    "car bicycle chair table picture knife spoon fork cup glass plate flower ball key guitar boat stone gift ring "
    "mirror"
)
PLACES = _list(
    "kitchen garden house school city village park forest room hotel restaurant museum shop church office library "
    "hospital theatre cellar tower castle bakery factory"
)

CLASSES: dict[str, list[str]] = {
    "person": PERSONS,
    "living": PERSONS + ANIMALS,
    "text": TEXTS,
    "food": FOOD,
    "clothes": CLOTHES,
    "device": DEVICES,
    "opening": OPENINGS,
    "thing": TEXTS + FOOD + CLOTHES + DEVICES + OPENINGS + GOODS,
    "place": PLACES,
}

ADJECTIVES: dict[str, list[str]] = {
    "living": _list(
        "old young big small friendly tired happy sad rich poor famous quiet loud strong weak clever brave hungry lazy "
        "polite"
    ),
    "thing": _list("old new big small red blue green white black yellow beautiful expensive cheap heavy strange"),
    "food": _list("big small fresh sweet hot cold expensive cheap red green yellow"),
    "place": _list("old new big small beautiful modern dark clean dirty famous quiet empty cold warm"),
}

MANNERS = _list("quickly slowly quietly loudly gladly carefully often alone immediately")
CONJUNCTIONS = _list("because if although while before")
MODALS = _list("can must should may")
WEEKDAYS = _list("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
MONTHS = _list("January February March April May June July August September October November December")
PRONOUNS = _list("I he she we they")


class Frame(NamedTuple):
    """What a verb wants beside its subject.

    Attributes:
        subject: class of the subject.
        object: class of the object, or None.
        recipient: whether there is someone who receives the object.
        direction: whether there is a place that the subject goes to.
        clause: whether there is a clause that is said, known, and so on.
    """

    subject: str = "living"
    object: str | None = None
    recipient: bool = False
    direction: bool = False
    clause: bool = False


_FRAMES: dict[Frame, str] = {
    Frame(): "sleep fall_asleep get_up arrive laugh cry wait swim play dream disappear come_back",
    Frame("person"): "work dance sing go_out",
    Frame(direction=True): "go run come go_back",
    Frame("person", direction=True): "drive travel",
    Frame(object="living"): "see hear find love",
    Frame("person", "living"): "call help pick_up greet look_for follow admire wake_up photograph feed",
    Frame("person", "person"): "invite visit know meet thank introduce",
    Frame("person", "text"): "read write translate copy_out",
    Frame("living", "food"): "eat smell",
    Frame("person", "food"): "bake cook cut_up",
    Frame("person", "clothes"): "put_on take_off wash",
    Frame("person", "device"): "turn_on turn_off repair",
    Frame("person", "opening"): "open close",
    Frame("person", "thing"): (
        "buy sell throw_away take_along steal carry lose forget use need hide count draw bring_along try_out describe"
    ),
    Frame("person", "place"): "clean tidy_up leave paint",
    Frame("person", "thing", recipient=True): "give show send bring lend",
    Frame("person", "text", recipient=True): "read_out explain",
    Frame("person", clause=True): "say believe hope think notice claim promise",
}
FRAMES: dict[str, Frame] = {verb: frame for frame, verbs in _FRAMES.items() for verb in verbs.split()}
VERBS_BY_KIND: dict[str, list[str]] = {
    "clause": [verb for verb, frame in FRAMES.items() if frame.clause],
    "plain": [verb for verb, frame in FRAMES.items() if not frame.clause],
}
