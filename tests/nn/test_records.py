"""What belongs to a batch is an ordinary value."""

import copy
import io
import pickle

import pytest
import torch
from hypothesis import given, settings
from torch.utils import _pytree as pytree
from torch.utils.data import DataLoader, default_collate

from seq2seq_fast import AttentionMemory
from seq2seq_fast.nn import AttentionHistory, EncoderOutput, HistoryAttention, Seq2Seq
from tests.nn.support import batch_of, configs, tiny


def model_and_records(config, dtype=torch.float32):
    model = Seq2Seq(config).to(dtype)
    source, lengths, target = batch_of(config, lengths=(4, 2, 3), dtype=dtype)
    encoded = model.encode(source, lengths)
    return model, target[:, 0], encoded, model.start(encoded, project_values=True)


def same(one, other):
    assert pytree.tree_structure(one) == pytree.tree_structure(other)
    for part, expected in zip(pytree.tree_leaves(one), pytree.tree_leaves(other), strict=True):
        torch.testing.assert_close(part, expected, rtol=0, atol=0)


@given(config=configs(dropout=0.2))
def test_sources_are_indexed_and_collated(config):
    _, _, *records = model_and_records(config)
    for record in records:
        picked = record[torch.tensor([2, 0])]
        same(picked, record.select(torch.tensor([2, 0])))
        same(picked, record[[2, 0]])
        same(record[1:], record[torch.tensor([False, True, True])])
        assert all(
            torch.equal(part, whole[2])
            for part, whole in zip(pytree.tree_leaves(record[2]), pytree.tree_leaves(record), strict=True)
        )
        detached = record.detach()
        same(default_collate([detached[0], detached[1], detached[2]]), detached)


@given(config=configs(dropout=0.2))
def test_detached_and_cloned_values_share_no_graph_and_no_memory(config):
    _, _, *records = model_and_records(config)
    for record in records:
        assert any(part.requires_grad for part in pytree.tree_leaves(record))
        assert not any(part.requires_grad for part in pytree.tree_leaves(record.detach()))
        clone = record.clone()
        same(clone, record)
        pairs = zip(pytree.tree_leaves(clone), pytree.tree_leaves(record), strict=True)
        assert all(one.data_ptr() != other.data_ptr() or not one.numel() for one, other in pairs)


@given(config=configs())
def test_a_state_in_another_dtype_decodes_in_it(config):
    model, tokens, _, state = model_and_records(config)
    model = model.eval()
    expected = model.step(tokens, state).logits
    for dtype, tolerance in ((torch.float64, 1e-5), (torch.bfloat16, 0.1)):
        found = copy.deepcopy(model).to(dtype).step(tokens, state.to(dtype)).logits
        assert found.dtype == dtype
        torch.testing.assert_close(found.float(), expected, atol=tolerance, rtol=tolerance)


def test_integers_and_masks_keep_their_dtype_and_the_history_its_precision():
    layer = HistoryAttention(4, 5, 7, "coverage")
    memory = layer.memory(torch.randn(2, 3, 5), lengths=torch.tensor([3, 1]))
    moved, history = memory.to(torch.bfloat16), layer.first(memory)
    assert moved.keys.dtype == torch.bfloat16
    assert moved.lengths.dtype == torch.int64 and moved.attended.dtype == torch.bool
    assert history.to(torch.bfloat16).attended.dtype == torch.float32
    assert history.to(torch.float64).fertility.dtype == torch.float64
    assert memory.to("meta").keys.is_meta and memory.to(device="meta", dtype=torch.float16).values.is_meta
    with pytest.raises(TypeError, match=r"dtype must be floating point; got torch\.int32"):
        memory.to(torch.int32)


def test_exponentials_of_other_keys_are_never_kept():
    memory = AttentionMemory(*torch.randn(4, 1, 2, 3).unbind(0)[:2], exponentials=torch.randn(1, 2, 3))
    assert memory.to("cpu").exponentials is memory.exponentials
    assert memory.to(torch.float64).exponentials is None


@settings(max_examples=5)
@given(config=configs(dropout=0.2))
def test_values_are_copied_pickled_and_loaded_with_weights_only(config):
    _, _, *records = model_and_records(config)
    for record in records:
        record = record.detach()
        same(copy.deepcopy(record), record)
        same(pickle.loads(pickle.dumps(record)), record)
        stored = io.BytesIO()
        torch.save(record, stored)
        stored.seek(0)
        same(torch.load(stored, weights_only=True), record)


def test_outputs_load_with_weights_only():
    config = tiny()
    model, stored = Seq2Seq(config), io.BytesIO()
    with torch.no_grad():
        output = model(*batch_of(config))
        torch.save((output, model.step(torch.tensor([1, 2, 3]), output.state)), stored)
    stored.seek(0)
    same(torch.load(stored, weights_only=True)[0], output)


def test_equal_is_the_same_object():
    memory = AttentionMemory(torch.ones(1, 2, 3), torch.ones(1, 2, 3))
    assert memory == memory and memory != copy.copy(memory) and len({memory, memory.clone()}) == 2


def test_pinning_reaches_every_tensor(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda part, device=None: part + 1)
    history = AttentionHistory(torch.zeros(2, 3), torch.ones(2, 3)).pin_memory()
    assert (history.attended == 1).all() and (history.fertility == 2).all()


def test_a_loader_batches_encoded_sources():
    config = tiny()
    _, _, encoded, _ = model_and_records(config)
    encoded = encoded.detach()
    loader = DataLoader([encoded[row] for row in range(3)], batch_size=2)
    first, second = loader
    assert isinstance(first, EncoderOutput)
    same(first, encoded[:2])
    same(second, encoded[2:])


def test_records_of_different_fields_do_not_become_a_batch():
    keys = torch.ones(2, 3)
    with pytest.raises(TypeError, match=r"same fields; got \[AttentionMemory\(keys=\[2, 3\]"):
        default_collate([AttentionMemory(keys, keys), AttentionMemory(keys, keys, mask=keys > 0)])


def test_what_is_printed_says_shapes_dtype_and_device():
    config = tiny(cell="lstm", dropout=0.1, variational=True)
    _, _, encoded, state = model_and_records(config)
    assert repr(encoded).startswith("EncoderOutput(outputs=[3, 4, 6], lengths=[3], final_states=(([3, 6], [3, 6])), ")
    assert repr(state).startswith("DecoderState(layers=(([3, 6], [3, 6])), memory=AttentionMemory(keys=[3, 4, 6], ")
    assert "masks={" in repr(state) and repr(state).endswith("torch.float32, cpu)")


@pytest.mark.parametrize("options", [{}, {"cell": "lstm", "attention_history": "coverage"}], ids=["fused", "history"])
def test_a_step_is_exported_with_its_state_as_input_and_output(options):
    config = tiny(**options)
    model, tokens, _, state = model_and_records(config)

    class Step(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model.eval()

        def forward(self, tokens, state):
            return self.model.step(tokens, state)

    with torch.no_grad():
        program = torch.export.export(Step(), (tokens, state))
        stored = io.BytesIO()
        torch.export.save(program, stored)
        stored.seek(0)
        step = torch.export.load(stored).module()
        first = step(tokens, state)
        expected = model.step(tokens, state)
        torch.testing.assert_close(first.logits, expected.logits)
        torch.testing.assert_close(step(tokens, first.state).logits, model.step(tokens, expected.state).logits)


def test_records_cross_torch_func_and_checkpoints():
    memory = AttentionMemory(torch.randn(2, 3, 4, requires_grad=True), torch.randn(2, 3, 5))

    def double(record):
        return record.map_tensors(lambda part: 2 * part)

    same(torch.vmap(double)(memory), double(memory))
    checkpointed = torch.utils.checkpoint.checkpoint(double, memory, use_reentrant=False)
    same(checkpointed, double(memory))
    assert (torch.autograd.grad(checkpointed.keys.sum(), memory.keys)[0] == 2).all()
