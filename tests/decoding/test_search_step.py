"""Searches over steps that are replayed from graphs: a stand-in with a graph's semantics takes the place of CUDA's."""

import contextlib
import threading

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seq2seq_fast.decoding import Ensemble, beam_search, captured_step, greedy_search, search_step
from seq2seq_fast.decoding.search_step import can_capture, round_up
from tests.decoding.models import BOS, EOS, small_model, sources
from tests.decoding.recorded_graph import RecordedGraph, Recorder
from tests.support.capture import imagined_devices

IDS = {"bos_id": BOS, "eos_id": EOS}


@pytest.fixture
def recorder(monkeypatch):
    """Captures at the second step of a layout, on CPU tensors, by a stand-in."""
    recorder = Recorder()
    monkeypatch.setattr(captured_step, "record", recorder)
    monkeypatch.setattr(search_step, "can_capture", lambda model, device: True)
    monkeypatch.setattr(search_step, "EAGER_STEPS", 1)
    return recorder


def graphs_of(model):
    return search_step._graphs_of(model)


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        for mine, theirs in zip(*([x] if hasattr(x, "tokens") else x for x in (one, other)), strict=True):
            assert mine.tokens == theirs.tokens
            assert mine.score == pytest.approx(theirs.score, abs=1e-4)
            assert (mine.weights is None) == (theirs.weights is None)
            if mine.weights is not None:
                torch.testing.assert_close(mine.weights, theirs.weights, atol=1e-5, rtol=1e-4)


def assert_graphs_change_nothing(model, source, lengths, search=greedy_search, **settings):
    found = search(model, source, lengths, **IDS, **settings)
    assert_same(found, search(model, source, lengths, **IDS, **settings, graphs=False))


MODELS = [
    {},
    {"attention": None},
    {"cell": "lstm", "decoder_layers": 2, "residual": True},
    {"attention_position": "after"},
    {"attention_history": "coverage"},
    {"attention_history": "location"},
    {"conditional": True, "layer_norm": True},
    {"reset_after": False, "attention": "multiplicative"},
]


@pytest.mark.parametrize("settings", MODELS, ids=lambda settings: "-".join(map(str, settings.values())) or "plain")
def test_every_kind_of_decoder_is_replayed_in_both_searches(recorder, settings):
    model = small_model(end=0.0, **settings)
    for seed in range(2):
        source, lengths = sources(5, seed)
        assert_graphs_change_nothing(model, source, lengths, need_weights=True)
        assert_graphs_change_nothing(model, source, lengths, beam_search, beam_size=3, n_best=2, need_weights=True)
    assert recorder.captures >= 2 and recorder.replays > recorder.captures


@pytest.mark.parametrize("average", ["probabilities", "log_probabilities"])
def test_an_ensemble_is_one_graph(recorder, average):
    model = Ensemble([small_model(seed=0), small_model(seed=1, attention=None)], average).eval()
    source, lengths = sources(4, seed=2)
    for _ in range(2):
        assert_graphs_change_nothing(model, source, lengths, beam_search, beam_size=2, need_weights=True)
    assert recorder.replays > 0


@given(data=st.data(), seed=st.integers(0, 3), beam_size=st.integers(1, 4))
def test_graphs_change_no_translation_of_any_sequence_of_batches(recorder, data, seed, beam_size):
    model = small_model(seed=seed)
    for _ in range(data.draw(st.integers(1, 3), label="batches")):
        count = data.draw(st.integers(1, 7), label="sentences")
        source, lengths = sources(count, data.draw(st.integers(0, 9)), longest=data.draw(st.sampled_from([5, 9, 17])))
        settings = {
            "no_repeat_ngram": data.draw(st.sampled_from([0, 2])),
            "need_weights": data.draw(st.booleans()),
            "prefixes": data.draw(
                st.none() | st.lists(st.lists(st.integers(4, 12), max_size=3), min_size=count, max_size=count)
            ),
        }
        if beam_size == 1:
            assert_graphs_change_nothing(model, source, lengths, **settings)
        else:
            settings["coverage_penalty"] = data.draw(st.sampled_from([0.0, 0.4]))
            assert_graphs_change_nothing(model, source, lengths, beam_search, beam_size=beam_size, **settings)


def test_batches_of_about_the_same_size_share_a_graph(recorder):
    model = small_model(end=-1e4)
    for count, longest in ((5, 8), (6, 7), (5, 5)):
        lengths = torch.full((count,), longest)
        source = torch.randint(4, 13, (count, longest))
        assert_graphs_change_nothing(model, source, lengths)
    assert recorder.captures == 1


def test_what_is_rare_is_not_captured(recorder, monkeypatch):
    monkeypatch.setattr(search_step, "EAGER_STEPS", 1000)
    assert_graphs_change_nothing(small_model(), *sources(4))
    assert recorder.captures == 0


def test_weights_that_change_in_place_are_seen_and_new_weights_get_new_graphs(recorder):
    model, source, lengths = small_model(), *sources(4)
    assert_graphs_change_nothing(model, source, lengths)
    captures = recorder.captures
    with torch.no_grad():
        for parameter, other in zip(model.parameters(), small_model(seed=9).parameters(), strict=True):
            parameter.copy_(other)
    model.decoder.output.bias.data[EOS] = -1e4
    assert_graphs_change_nothing(model, source[:, :8], lengths.clamp(max=8))
    model.decoder.output.weight = torch.nn.Parameter(model.decoder.output.weight.detach().flip(0).clone())
    replaced = recorder.captures
    assert replaced >= captures
    assert_graphs_change_nothing(model, source[:, :8], lengths.clamp(max=8))
    assert recorder.captures > replaced


def test_other_dtypes_and_autocast_have_graphs_of_their_own(recorder):
    model, source, lengths = small_model(end=-1e4), torch.full((2, 3), 5), torch.tensor([3, 3])
    assert_graphs_change_nothing(model, source, lengths)
    assert recorder.captures == 1
    with torch.autocast("cpu", torch.bfloat16):
        assert_graphs_change_nothing(model, source, lengths)
    assert recorder.captures == 2
    assert_graphs_change_nothing(model.double(), source, lengths)
    assert recorder.captures == 3


def test_a_graph_does_not_read_what_autocast_keeps_for_a_while(recorder):
    model, source, lengths = small_model(end=-1e4), torch.full((2, 3), 5), torch.tensor([3, 3])
    for seed in range(3):
        with torch.no_grad():
            model.decoder.output.weight.copy_(6 * small_model(seed=seed).decoder.output.weight)
        with torch.autocast("cpu", torch.bfloat16):
            assert_graphs_change_nothing(model, source, lengths)
    assert recorder.captures == 1


def test_the_number_of_graphs_is_bounded_and_the_least_recently_used_goes(recorder, monkeypatch):
    monkeypatch.setattr(search_step, "MOST_GRAPHS", 2)
    model = small_model(end=-1e4)

    def translate(rows):
        assert_graphs_change_nothing(model, torch.full((rows, 2), 5), torch.full((rows,), 2))
        assert len(graphs_of(model)) <= 2
        return recorder.captures

    assert [translate(rows) for rows in (1, 2, 1, 4, 1, 2)] == [1, 2, 2, 3, 3, 4]


def test_a_refused_capture_warns_once_and_the_search_goes_on(recorder):
    recorder.refuse = True
    model = small_model(end=-1e4)
    with pytest.warns(UserWarning, match="without CUDA graphs: a capture failed: operation not permitted"):
        assert_graphs_change_nothing(model, *sources(4))
    assert_graphs_change_nothing(model, *sources(6))
    assert recorder.captures == 1


def test_threads_do_not_share_static_tensors(recorder):
    model, found = small_model(), []
    thread = threading.Thread(target=lambda: found.append(graphs_of(model)))
    thread.start()
    thread.join()
    assert found[0] is not graphs_of(model) and graphs_of(model) is graphs_of(model)


def test_only_where_nothing_else_captures_compiles_or_learns(monkeypatch):
    cuda, model = torch.device("cuda"), small_model()
    capturing = [False]
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: capturing[0])
    with torch.no_grad():
        assert can_capture(model, cuda) and can_capture(Ensemble([model]).eval(), cuda)
        assert not can_capture(model, torch.device("cpu"))
        assert not can_capture(torch.nn.Linear(2, 2).eval(), cuda)
        assert not can_capture(small_model().train(), cuda)
        capturing[0] = True
        assert not can_capture(model, cuda)
        capturing[0] = False
    assert not can_capture(model, cuda), "gradients are recorded"


def test_whether_something_captures_is_asked_of_the_searched_device(monkeypatch):
    current, asked = imagined_devices(monkeypatch), []
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: asked.append(current[0]) or False)
    with torch.no_grad():
        assert can_capture(small_model(), torch.device("cuda", 1))
    assert asked == [1] and current == [0]


@given(rows=st.integers(1, 10_000))
def test_rows_are_rounded_up_by_less_than_half(rows):
    rounded = round_up(rows)
    assert rows <= rounded < 1.5 * rows + 1 and round_up(rounded) == rounded


def test_sizes_are_two_an_octave():
    assert sorted({round_up(rows) for rows in range(1, 65)}) == [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64]


@torch.inference_mode()
def test_the_stand_in_is_as_strict_as_a_graph():
    static, weight = torch.ones(3), torch.ones(3)
    with RecordedGraph() as graph:
        output = (static * weight).relu()
    assert output.isnan().all(), "nothing is computed while capturing"
    weight = torch.full((3,), 2.0)
    static.fill_(5.0)
    graph.replay()
    assert output.tolist() == [5.0] * 3, "the name has another tensor now, the graph has not"
    for read in (lambda: float(static[0]), lambda: static[static > 0], lambda: static.new_tensor(2.0), static.nonzero):
        with pytest.raises(RuntimeError, match="not permitted"), RecordedGraph():
            read()


def test_a_state_of_something_else_than_tensors_is_refused():
    with pytest.raises(TypeError, match=r"\.1 must be made of tensors; got int"):
        captured_step.tensors_of((torch.zeros(1), 3))
