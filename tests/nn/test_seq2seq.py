import json

import pytest
import torch
from hypothesis import given, settings

from seq2seq_fast.nn import Seq2Seq
from tests.nn.support import batch_of, configs, tiny


@settings(max_examples=8)
@given(config=configs())
def test_a_saved_model_loads_again(config, tmp_path):
    model = Seq2Seq(config).eval()
    model.save_pretrained(tmp_path / "model")
    files = {path.name for path in (tmp_path / "model").iterdir()}
    assert files == {"config.json", "model.safetensors", "README.md"}
    loaded = Seq2Seq.from_pretrained(tmp_path / "model")
    assert loaded.config == config and not loaded.training
    batch = batch_of(config)
    assert torch.equal(loaded(*batch).readout, model(*batch).readout)
    assert (loaded.decoder.output.weight is loaded.decoder.embedding.weight) is config.tie_embeddings
    if config.share_embeddings:
        assert loaded.encoder.embedding.weight is loaded.decoder.embedding.weight


def test_a_model_that_was_loaded_saves_the_same_configuration(tmp_path):
    Seq2Seq(tiny(cell="lstm")).save_pretrained(tmp_path / "first")
    Seq2Seq.from_pretrained(tmp_path / "first").save_pretrained(tmp_path / "second")
    first, second = (json.loads((tmp_path / name / "config.json").read_text()) for name in ("first", "second"))
    assert first == second and first["cell"] == "lstm"


def test_weights_that_do_not_fit_are_an_error(tmp_path):
    Seq2Seq(tiny(decoder_layers=2)).save_pretrained(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(written | {"decoder_layers": 1}))
    with pytest.raises(ValueError, match=r"the weights have a decoder\.bridges\.1\.bias, the configuration none"):
        Seq2Seq.from_pretrained(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no config\.json"):
        Seq2Seq.from_pretrained(tmp_path)


def test_from_pretrained_names_an_option_it_does_not_know(tmp_path):
    Seq2Seq(tiny()).save_pretrained(tmp_path)
    with pytest.raises(TypeError, match="knows no map_locaton"):
        Seq2Seq.from_pretrained(tmp_path, map_locaton="cpu")


def test_a_pickle_is_never_loaded(tmp_path):
    model = Seq2Seq(tiny())
    model.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(FileNotFoundError, match="safetensors"):
        Seq2Seq.from_pretrained(tmp_path)


def test_the_hub_gets_the_folder(monkeypatch):
    uploaded = {}

    class Api:
        def __init__(self, token=None):
            pass

        def create_repo(self, repo_id, **_):
            return type("Repository", (), {"repo_id": repo_id})

        def upload_folder(self, *, repo_id, folder_path, **_):
            uploaded[repo_id] = sorted(path.name for path in folder_path.iterdir())

    monkeypatch.setattr("huggingface_hub.hub_mixin.HfApi", Api)
    Seq2Seq(tiny()).push_to_hub("someone/model")
    assert uploaded == {"someone/model": ["README.md", "config.json", "model.safetensors"]}


def test_a_repository_of_the_hub_is_downloaded(monkeypatch, tmp_path):
    model = Seq2Seq(tiny())
    model.save_pretrained(tmp_path)
    asked = []

    def download(repo_id, filename, revision=None, **_):
        asked.append((repo_id, filename, revision))
        return str(tmp_path / filename)

    monkeypatch.setattr("huggingface_hub.hub_mixin.hf_hub_download", download)
    monkeypatch.setattr("seq2seq_fast.nn.hub.hf_hub_download", download)
    loaded = Seq2Seq.from_pretrained("someone/model", revision="v1")
    assert set(asked) == {("someone/model", "config.json", "v1"), ("someone/model", "model.safetensors", "v1")}
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)


def test_the_seed_decides_the_weights():
    models = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        models.append(Seq2Seq(tiny(cell="lstm")).state_dict())
    assert all(torch.equal(value, models[1][name]) for name, value in models[0].items())
    assert not torch.equal(models[0]["decoder.attention.v"], models[2]["decoder.attention.v"])


@settings(max_examples=4)
@given(config=configs(dropout=0.1))
def test_trains_under_autocast(config):
    model = Seq2Seq(config)
    source, lengths, target = batch_of(config)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        readout = model(source, lengths, target).readout
        loss = model.logits(readout).float().logsumexp(dim=2).sum()
    loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_a_model_in_bfloat16_is_near_the_one_in_float32():
    model = Seq2Seq(tiny(encoder_layers=2, decoder_layers=2)).eval()
    batch = batch_of(model.config)
    exact = model(*batch).readout
    half = model.to(torch.bfloat16)(*batch).readout
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), exact, atol=0.05, rtol=0.05)


@pytest.mark.parametrize(
    "options",
    [{}, {"cell": "lstm", "decoder_layers": 2, "attention_position": "after"}, {"attention": None, "cell": "rnn"}],
    ids=["additive", "input feeding", "no attention"],
)
def test_compiles_to_one_graph(options):
    model = Seq2Seq(tiny(**options)).eval()
    source, lengths, target = batch_of(model.config)

    def logits(source, lengths, target):
        return model.logits(model(source, lengths, target).readout)

    def step(tokens, state):
        return model.step(tokens, state)

    torch._dynamo.reset()
    compiled = torch.compile(logits, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(source, lengths, target), logits(source, lengths, target))
    with torch.no_grad():
        state = model.start(model.encode(source, lengths)).expand(2)
        compiled_step = torch.compile(step, backend="eager", fullgraph=True)
        torch.testing.assert_close(compiled_step(target[:, :2], state).logits, step(target[:, :2], state).logits)


@pytest.mark.parametrize("name", ["missing/deep/model", "file"])
def test_a_path_that_is_no_folder_is_named(tmp_path, name):
    (tmp_path / "file").write_text("no model")
    with pytest.raises(FileNotFoundError, match=f"{name} is no folder of a model"):
        Seq2Seq.from_pretrained(tmp_path / name)
