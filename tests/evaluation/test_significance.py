"""Paired tests."""

import pytest
import sacrebleu
from sacrebleu.significance import PairedTest

from seq2seq_fast.data import InputError
from seq2seq_fast.evaluation import paired_test, significance_table

WORDS = ["the", "man", "sees", "a", "small", "dog", "in", "the", "old", "garden", "of", "his", "house", "today"]
REFERENCES = [" ".join(WORDS[place % 5 :] + WORDS[: place % 3]) for place in range(40)]
GOOD = [line.replace("small", "little") if place % 4 else line for place, line in enumerate(REFERENCES)]
BAD = [" ".join(reversed(line.split())) for line in REFERENCES]


@pytest.mark.parametrize("kind", ["bootstrap", "randomisation"])
def test_a_far_worse_system_is_told_from_an_equal_one(kind):
    found = paired_test({"good": GOOD, "bad": BAD, "same": GOOD}, REFERENCES, kind, samples=200)
    for metric in ("BLEU", "chrF2"):
        one = found[metric]
        assert one["good"].p_value is None and one["good"].score > one["bad"].score
        assert one["bad"].p_value < 0.01 and one["same"].p_value == 1
    table = significance_table(found, kind, 200)
    assert len(table.splitlines()) == 4 and "200 samples" in table and table.count(" p ") == 4
    assert ("±" in table) == (kind == "bootstrap")


def test_figures_are_sacrebleus_and_the_same_each_time(monkeypatch):
    other = [line.replace("the", "a") for line in REFERENCES]
    systems = {"good": GOOD, "other": other}
    found = paired_test(systems, [REFERENCES, GOOD], samples=100)
    _, wanted = PairedTest(list(systems.items()), {"BLEU": sacrebleu.metrics.BLEU()}, [REFERENCES, GOOD], "bs", 100)()
    assert vars(found["BLEU"]["other"]) == vars(wanted["BLEU"][1])
    monkeypatch.setenv("SACREBLEU_SEED", "7")
    assert vars(paired_test(systems, [REFERENCES, GOOD], samples=100)["BLEU"]["other"]) != vars(wanted["BLEU"][1])
    monkeypatch.setenv("SACREBLEU_SEED", "seven")
    with pytest.raises(InputError, match="SACREBLEU_SEED=seven is no seed"):
        paired_test(systems, REFERENCES)


def test_unequal_systems_are_refused():
    with pytest.raises(InputError, match="39 translations but 40 references"):
        paired_test({"good": GOOD, "short": GOOD[1:]}, REFERENCES)
