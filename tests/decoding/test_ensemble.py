"""Models that translate together."""

import pytest
import torch

from seq2seq_fast.data import InputError, build_vocabulary
from seq2seq_fast.decoding import Ensemble, Translator, beam_search, greedy_search, save_model_folder
from tests.decoding.models import BOS, EOS, small_model, sources

IDS = {"bos_id": BOS, "eos_id": EOS, "need_weights": True}
MEMBERS = [
    {"seed": 0},
    {"seed": 1, "cell": "lstm", "decoder_hidden_size": 6},
    {"seed": 2, "attention_position": "after"},
]


@pytest.mark.parametrize("average", ["probabilities", "log_probabilities"])
@pytest.mark.parametrize("search", [greedy_search, beam_search])
@torch.no_grad()
def test_the_probability_of_a_translation_is_the_members_average(average, search):
    members = [small_model(**settings) for settings in MEMBERS]
    source, lengths = sources(8, seed=3)
    found = search(Ensemble(members, average), source, lengths, **IDS)
    for row, hypothesis in enumerate(one if search is greedy_search else one[0] for one in found):
        size, tokens = int(lengths[row]), hypothesis.tokens
        outputs = [
            model(source[row : row + 1, :size], lengths[row : row + 1], torch.tensor([[BOS, *tokens]]))
            for model in members
        ]
        each = torch.stack(
            [m.logits(output.readout)[0].softmax(-1) for m, output in zip(members, outputs, strict=True)]
        ).double()
        mean = each.mean(0) if average == "probabilities" else each.log().mean(0).softmax(-1)
        pieces = [*tokens, EOS] if len(tokens) < 2 * size + 10 else tokens
        total = sum(mean[place, piece].log().item() for place, piece in enumerate(pieces))
        assert hypothesis.log_probability == pytest.approx(total, abs=1e-3)
        weights = torch.stack([output.weights[0, : len(tokens)] for output in outputs]).mean(0)
        torch.testing.assert_close(hypothesis.weights, weights, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("average", ["probabilities", "log_probabilities"])
def test_a_model_with_itself_is_the_model(average):
    model = small_model(seed=4)
    source, lengths = sources(12, seed=1)
    alone = beam_search(model, source, lengths, **IDS)
    together = beam_search(Ensemble([model, model], average), source, lengths, **IDS)
    assert [one[0].tokens for one in together] == [one[0].tokens for one in alone]


def test_members_without_attention_leave_the_weights_to_the_others():
    source, lengths = sources(4)
    mixed = Ensemble([small_model(attention=None), small_model(seed=1)])
    for one, size in zip(greedy_search(mixed, source, lengths, **IDS), lengths.tolist(), strict=True):
        assert one.weights.shape == (len(one.tokens), size)
    with pytest.raises(ValueError, match="same vocabularies"):
        Ensemble([small_model(), small_model(vocabulary=14)])


def test_folders_are_loaded_together_and_must_share_their_vocabularies(tmp_path):
    lines = ["ein Hund", "der kleine Hund sieht die Katze"]
    ours, other = build_vocabulary(lines, "words", 40), build_vocabulary(["drei Affen"], "words", 40)
    for name, vocabulary, seed in (("a", ours, 1), ("b", ours, 2), ("c", other, 3)):
        model = small_model(len(vocabulary), source_vocabulary=len(vocabulary), seed=seed)
        save_model_folder(tmp_path / name, model, vocabulary, vocabulary)
    translator = Translator.load_ensemble([tmp_path / "a", tmp_path / "b"])
    assert len(translator.translate(lines)) == 2
    with pytest.raises(InputError, match=f"{tmp_path / 'c'}: its vocabularies are not those of {tmp_path / 'a'}"):
        Translator.load_ensemble([tmp_path / "a", tmp_path / "c"])
