"""BLEU by source length."""

from seq2seq_fast.evaluation import bleu_by_length, length_table, score

SOURCES = ["a", "a b", "", "a b c", "a b c d e"]
REFERENCES = ["one", "one two three four", "x", "one two three four five", "six seven eight nine ten"]
HYPOTHESES = ["one", "one two three four", "y", "one two three for five", "six seven nine eight ten"]


def test_each_sentence_falls_to_the_group_of_its_length():
    groups = bleu_by_length(SOURCES, HYPOTHESES, REFERENCES, width=2)
    assert [group[:3] for group in groups] == [(1, 2, 2), (3, 4, 1), (5, 6, 1)]
    assert groups[0].bleu == score(HYPOTHESES[:2], REFERENCES[:2]).bleu
    assert groups[1].bleu == score(HYPOTHESES[3:4], REFERENCES[3:4]).bleu


def test_one_group_of_all_lengths_has_the_bleu_of_the_whole():
    (group,) = bleu_by_length(SOURCES[3:], HYPOTHESES[3:], REFERENCES[3:], width=9)
    assert group == (1, 9, 2, score(HYPOTHESES[3:], REFERENCES[3:]).bleu)


def test_the_table_has_a_column_for_each_model():
    groups = bleu_by_length(SOURCES, HYPOTHESES, REFERENCES, width=4)
    rows = [row.split() for row in length_table({"one": groups, "other": groups}).splitlines()]
    assert rows[0] == ["source", "words", "sentences", "one", "other"]
    assert rows[1][:2] == ["1-4", "3"] and rows[1][2] == rows[1][3] == f"{groups[0].bleu:.2f}" and len(rows) == 3


def test_groups_are_scored_by_all_references():
    others = ["one", "three four", "x", "one two three for five", "six"]
    groups = bleu_by_length(SOURCES, HYPOTHESES, [REFERENCES, others], width=2)
    assert groups[1].bleu == score(HYPOTHESES[3:4], [REFERENCES[3:4], others[3:4]]).bleu > 99
