"""The embedded corpus."""

import pytest

from seq2seq_fast.data import InputError
from seq2seq_fast.data.grammar import LANGUAGES, embedded_corpus
from seq2seq_fast.data.grammar.english import linearize as english
from seq2seq_fast.data.grammar.german import linearize as german
from seq2seq_fast.data.grammar.korean import linearize as korean
from seq2seq_fast.data.grammar.meaning import Clause, NounPhrase, Sentence, Time
from seq2seq_fast.data.grammar.sampler import MeaningSampler
from seq2seq_fast.data.grammar.words import to_text
from seq2seq_fast.data.token_vocabulary import tokenize


@pytest.fixture(scope="module", params=["de", "ko"])
def language(request):
    return request.param


@pytest.fixture(scope="module")
def corpus(language):
    return embedded_corpus(language, "en", size=1500)


def both(clause, **sentence):
    meaning = Sentence(clause, **sentence)
    return to_text(german(meaning)), to_text(english(meaning))


def noun(concept, determiner="the", **features):
    return NounPhrase(concept, "noun", determiner=determiner, **features)


def test_the_same_seed_gives_the_same_corpus_and_another_does_not(language, corpus):
    assert embedded_corpus(language, "en", size=50) == corpus[:50]
    assert embedded_corpus(language, "en", size=50, seed=1) != corpus[:50]


def test_splits_share_no_sentence_on_either_side(language, corpus):
    others = embedded_corpus(language, "en", size=200, split="test")
    others += embedded_corpus(language, "en", size=200, split="validation", seed=3)
    for side in ("source", "target"):
        train = {getattr(pair, side) for pair in corpus}
        assert train.isdisjoint({getattr(pair, side) for pair in others})


def test_pairs_are_distinct_and_three_to_sixty_words_long(corpus):
    assert len({pair.source for pair in corpus}) == len(corpus)
    for side in ("source_words", "target_words"):
        sentences = [getattr(pair, side) for pair in corpus]
        assert min(sum(word not in ",.?" for word in words) for words in sentences) == 3
    assert 40 < max(max(len(pair.source_words), len(pair.target_words)) for pair in corpus) <= 60


@pytest.mark.parametrize("linearize", [german, korean])
def test_a_source_sentence_has_one_translation(linearize):
    sampler = MeaningSampler(5)
    translations: dict[str, set[str]] = {}
    for _ in range(4000):
        sentence = sampler.sentence()
        translations.setdefault(to_text(linearize(sentence)), set()).add(to_text(english(sentence)))
    assert not [source for source, targets in translations.items() if len(targets) > 1]


def test_alignments_point_at_words_and_reorder(corpus):
    for pair in corpus:
        assert all(0 <= i < len(pair.source_words) and 0 <= j < len(pair.target_words) for i, j in pair.alignment)
        unaligned = set(range(len(pair.target_words))) - {j for _, j in pair.alignment}
        assert all(pair.target_words[j] in ",and" for j in unaligned), pair
    crossing = [pair for pair in corpus if any(a < c and b > d for a, b in pair.alignment for c, d in pair.alignment)]
    assert len(crossing) > 0.4 * len(corpus)


def test_words_are_what_a_word_vocabulary_cuts(corpus):
    for pair in corpus:
        for text, words in ((pair.source, pair.source_words), (pair.target, pair.target_words)):
            assert [token.removeprefix("▁") for token in tokenize(text, "words")] == list(words)


def test_several_hundred_words_a_side(corpus):
    for side in ("source_words", "target_words"):
        assert 300 < len({word for pair in corpus for word in getattr(pair, side)}) < 2500


def test_the_verb_is_second_in_a_main_clause_and_last_in_a_subordinate_one():
    inner = Clause(noun("woman"), "buy", tense="past", object=noun("apple", "a"))
    clause = Clause(noun("man"), "say", complement=inner, time=Time("adverb", "today"), fronted=True)
    assert both(clause) == (
        "Heute sagt der Mann, dass die Frau einen Apfel gekauft hat.",
        "Today the man says that the woman bought an apple.",
    )


def test_a_separable_particle_closes_the_main_clause_and_joins_its_verb_in_a_subordinate_one():
    main = Clause(noun("man"), "pick_up", object=noun("child", plural=True), adverbial=None)
    assert both(main)[0] == "Der Mann holt die Kinder ab."
    relative = noun("man", relative=Clause(None, "pick_up", object=noun("child", plural=True)))
    assert both(Clause(relative, "sleep")) == (
        "Der Mann, der die Kinder abholt, schläft.",
        "The man who picks up the children sleeps.",
    )


def test_questions_dates_numbers_and_negation():
    clause = Clause(
        NounPhrase("they", "pronoun", plural=True),
        "read",
        negated=True,
        object=noun("book", "number", count=21, plural=True),
        time=Time("date", "May", day=3, year=1999),
    )
    assert both(clause, question=True) == (
        "Lesen sie am 3. Mai 1999 einundzwanzig Bücher nicht?",
        "Do they not read twenty-one books on May 3, 1999?",
    )


def test_adjectives_and_articles_agree():
    clause = Clause(
        noun("woman", "this", adjectives=("old",)),
        "show",
        object=noun("hat", "a", adjectives=("expensive",)),
        recipient=noun("child", "my", adjectives=("small",), plural=True),
        place=noun("garden"),
        tense="future",
    )
    assert both(clause) == (
        "Diese alte Frau wird meinen kleinen Kindern einen teuren Hut im Garten zeigen.",
        "This old woman will show an expensive hat to my small children in the garden.",
    )


def in_korean(clause, **sentence):
    return to_text(korean(Sentence(clause, **sentence)))


def test_korean_puts_the_verb_last_and_what_describes_a_noun_before_it():
    relative = Clause(None, "pick_up", object=noun("child", plural=True))
    clause = Clause(
        noun("man", relative=relative, adjectives=("old",)),
        "read",
        tense="past",
        object=noun("book", "number", count=21, plural=True),
        place=noun("school", "our"),
        time=Time("date", "May", day=3, year=1999),
        fronted=True,
    )
    assert in_korean(clause) == (
        "1999년 5월 3일에, 그 아이들을 데리러가는 그 늙은 남자는 스물한 개의 책을 우리 학교에서 읽었습니다."
    )


def test_korean_verbs_carry_tense_mood_and_what_joins_clauses():
    she, we = NounPhrase("she", "pronoun"), NounPhrase("we", "pronoun", plural=True)
    inner = Clause(she, "help", modal="can", negated=True, object=NounPhrase("Anna", "name"))
    assert in_korean(Clause(noun("king"), "believe", complement=inner)) == (
        "그 왕은 그녀가 안나를 도울 수 없다고 믿습니다."
    )
    because = Clause(noun("soup", living=False), None, predicate="hot", tense="future")
    assert in_korean(Clause(we, "wait", conjunction="because", adverbial=because)) == (
        "우리는 그 수프가 뜨거울 것이기 때문에 기다립니다."
    )
    before = Clause(NounPhrase("I", "pronoun"), "sleep", tense="past")
    assert in_korean(Clause(we, "eat", tense="past", conjunction="before", adverbial=before, object=noun("apple"))) == (
        "우리는 제가 자기 전에 그 사과를 먹었습니다."
    )
    assert in_korean(Clause(we, "sing", modal="must"), question=True) == "우리는 노래해야 합니까?"


@pytest.mark.parametrize("code", sorted(LANGUAGES))
def test_every_language_has_a_word_for_everything(code):
    for pair in embedded_corpus(code, code, size=300, seed=11):
        assert pair.source == pair.target and "_" not in pair.source and "  " not in pair.source


def test_an_unknown_language_is_named():
    with pytest.raises(InputError, match="'xx'"):
        embedded_corpus("xx", "en", size=1)
