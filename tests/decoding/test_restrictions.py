"""Lengths, prefixes, repetitions and coverage, against searches that try everything."""

import functools
import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seq2seq_fast.decoding import SearchLimits, beam_search, greedy_search
from tests.decoding.models import BOS, EOS, small_model, sources

VOCABULARY, LONGEST = 5, 4
OTHERS = [piece for piece in range(VOCABULARY) if piece != EOS]
IDS = {"bos_id": BOS, "eos_id": EOS}

rules = st.fixed_dictionaries(
    {
        "shortest": st.integers(0, LONGEST),
        "no_repeat_ngram": st.integers(0, 3),
        "prefix": st.lists(st.sampled_from(OTHERS), max_size=3),
    }
)


def allowed(tokens, shortest, no_repeat_ngram, prefix):
    """The pieces that may follow, by the words of the definition."""
    if len(tokens) < len(prefix):
        return {prefix[len(tokens)]}

    def repeats(piece):
        n, longer = no_repeat_ngram, [*tokens, piece]
        return n > 0 and len(longer) >= n and longer[-n:] in [longer[i : i + n] for i in range(len(longer) - n)]

    pieces = {piece for piece in OTHERS if not repeats(piece)}
    return pieces | {EOS} if len(tokens) >= shortest or not pieces else pieces


def keeps_to(tokens, ended, rule):
    whole = [*tokens, EOS] if ended else tokens
    return all(piece in allowed(whole[:place], **rule) for place, piece in enumerate(whole))


@functools.cache
def table(seed):
    """A model, a source, and for every translation, ended or cut, its log probability and attention."""
    model = small_model(VOCABULARY, seed=seed, sharpness=4.0, end=-1.0)
    source, lengths = sources(1, seed=seed)
    full = list(itertools.product(OTHERS, repeat=LONGEST))
    with torch.no_grad():
        rows = len(full)
        output = model(source.expand(rows, -1), lengths.expand(rows), torch.tensor([[BOS, *row] for row in full]))
        steps, weights = model.logits(output.readout).log_softmax(-1), output.weights
    found = {}
    for row, tokens in enumerate(full):
        for size in range(LONGEST + 1):
            ended = size < LONGEST
            pieces = [*tokens[:size], EOS] if ended else tokens
            total = sum(steps[row, place, piece].item() for place, piece in enumerate(pieces))
            found[tokens[:size]] = (total, weights[row, : len(pieces)].sum(0))
    return model, source, lengths, found


@given(seed=st.integers(0, 3), rule=rules, beta=st.sampled_from([0.0, 0.5, 3.0]), n_best=st.integers(1, 3))
def test_a_wide_beam_finds_the_best_of_all_that_keep_to_the_rules(seed, rule, beta, n_best):
    model, source, lengths, found = table(seed)
    scored = []
    for tokens, (total, attended) in found.items():
        coverage = sum(math.log(min(share, 1.0)) for share in attended.tolist())
        scored.append((total + beta * coverage, list(tokens)))
    ended = [one for one in scored if len(one[1]) < LONGEST and keeps_to(one[1], True, rule)]
    cut = [one for one in scored if len(one[1]) == LONGEST and keeps_to(one[1], False, rule)]
    # What is cut at the longest output only fills up what has ended.
    by_probability = sorted(cut, key=lambda one: -found[tuple(one[1])][0])
    best = sorted(ended, reverse=True)[:n_best]
    best = sorted(best + by_probability[: n_best - len(best)], reverse=True)
    hypotheses = beam_search(
        model, source, lengths, **IDS, beam_size=VOCABULARY**LONGEST, length_penalty=0.0, coverage_penalty=beta,
        n_best=n_best, limits=SearchLimits(shortest=rule["shortest"], longest=LONGEST),
        no_repeat_ngram=rule["no_repeat_ngram"], prefixes=[rule["prefix"]],
    )[0]  # fmt: skip
    assert [one.tokens for one in hypotheses] == [tokens for _, tokens in best]
    assert [one.score for one in hypotheses] == pytest.approx([score for score, _ in best], abs=1e-3)


@given(seed=st.integers(0, 3), batch_rules=st.lists(rules, min_size=2, max_size=4))
def test_greedy_search_takes_the_most_probable_piece_that_is_allowed(seed, batch_rules):
    model = small_model(VOCABULARY, seed=seed, sharpness=4.0, end=0.0)
    source, lengths = sources(len(batch_rules), seed=seed)
    # The longest of these lengths cannot be reached without repetition.
    rule = batch_rules[0] | {"shortest": batch_rules[0]["shortest"] + 2}
    prefixes = [other["prefix"] for other in batch_rules]
    arguments = IDS | {
        "limits": SearchLimits(shortest=rule["shortest"], longest=7), "no_repeat_ngram": rule["no_repeat_ngram"],
        "prefixes": prefixes,
    }  # fmt: skip
    greedy = greedy_search(model, source, lengths, **arguments)
    for row, hypothesis in enumerate(greedy):
        size, tokens = int(lengths[row]), []
        while len(tokens) < 7:
            with torch.no_grad():
                output = model(source[None, row, :size], lengths[row : row + 1], torch.tensor([[BOS, *tokens]]))
            each = model.logits(output.readout)[0, -1].tolist()
            piece = max(allowed(tokens, **(rule | {"prefix": prefixes[row]})), key=each.__getitem__)
            if piece == EOS:
                break
            tokens.append(piece)
        assert hypothesis.tokens == tokens
    beams = beam_search(model, source, lengths, beam_size=1, **arguments)
    assert [found[0].tokens for found in beams] == [hypothesis.tokens for hypothesis in greedy]


def test_a_coverage_penalty_prefers_translations_that_attend_to_all_of_the_source():
    model = small_model(seed=2, sharpness=4.0)
    source, lengths = sources(30, seed=6)

    def least_attention(beta):
        found = beam_search(model, source, lengths, **IDS, coverage_penalty=beta, need_weights=True)
        return sum(float(one[0].weights.sum(0).min()) for one in found if len(one[0].tokens) > 0)

    assert least_attention(2.0) > 1.05 * least_attention(0.0)


def test_a_coverage_penalty_in_a_batch_with_padding_is_that_of_each_sentence():
    model = small_model(seed=5)
    source, lengths = sources(8, seed=2)
    arguments = IDS | {"beam_size": 3, "coverage_penalty": 0.7}
    for row, found in enumerate(beam_search(model, source, lengths, **arguments)):
        size = int(lengths[row])
        alone = beam_search(model, source[row : row + 1, :size], lengths[row : row + 1], **arguments)[0]
        assert found[0].tokens == alone[0].tokens and found[0].score == pytest.approx(alone[0].score, abs=1e-3)


def test_what_cannot_be_asked_for_is_refused():
    source, lengths = sources(2)
    with pytest.raises(ValueError, match="needs a model with attention"):
        beam_search(small_model(attention=None), source, lengths, **IDS, coverage_penalty=1.0)
    with pytest.raises(ValueError, match="longest must be at least shortest, 5; got 4"):
        SearchLimits(shortest=5, longest=4)


def test_a_prefix_longer_than_the_longest_output_is_kept_whole():
    source, lengths = sources(2)
    limits = SearchLimits(longest=2)
    prefixes = [[4, 5, 6, 7], []]
    for found in (
        greedy_search(small_model(), source, lengths, **IDS, limits=limits, prefixes=prefixes),
        [one[0] for one in beam_search(small_model(), source, lengths, **IDS, limits=limits, prefixes=prefixes)],
    ):
        assert found[0].tokens == [4, 5, 6, 7] and len(found[1].tokens) <= 2
