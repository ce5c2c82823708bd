"""Two processes that train and decode sharded and replicated models; each prints what went wrong as a line of JSON.

Usage: python -m tests.nn.distributed_worker RANK STORE_FILE
"""

import copy
import json
import sys
import traceback

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Shard, distribute_module, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

from seq2seq_fast.nn import AdditiveAttention, HistoryAttention, Seq2Seq
from tests.nn.support import batch_of, tiny

WORLD = 2
CONFIGS = {
    "additive": tiny(decoder_layers=2),
    "coverage": tiny(attention_history="coverage", cell="lstm"),
    "input feeding": tiny(attention="multiplicative", attention_position="after", cell="lstm"),
}


def batches(config):
    torch.manual_seed(1)
    return [batch_of(config, dtype=torch.float64) for _ in range(WORLD)]


def loss_of(model, batch):
    return model.logits(model(*batch).readout).logsumexp(dim=2).mean()


def full(value):
    return value.full_tensor() if hasattr(value, "full_tensor") else value


def check_gradients(model, plain, losses):
    """The mean over the processes of the plain model's, in what is sharded or replicated."""
    torch.stack(losses).mean().backward()
    expected = dict(plain.named_parameters())
    several = any(isinstance(parameter, DTensor) for parameter in model.parameters())
    for name, parameter in model.named_parameters():
        if several and not isinstance(parameter, DTensor):
            continue
        torch.testing.assert_close(
            full(parameter.grad), expected[name].grad, msg=lambda text, name=name: f"{name}: {text}"
        )


def check_model(rank, config, shard):
    torch.manual_seed(0)
    plain = Seq2Seq(config, dtype=torch.float64)
    model = copy.deepcopy(plain)
    shard(model)
    given = batches(config)
    loss_of(model, given[rank]).backward()
    check_gradients(model, plain, [loss_of(plain, batch) for batch in given])
    source, lengths, target = given[rank]
    with torch.no_grad():
        found = model.step(target[:, 0], model.start(model.encode(source, lengths), project_values=True))
        found = model.step(target[:, 1], found.state)
        expected = plain.step(target[:, 1], plain.step(target[:, 0], plain.start(plain.encode(source, lengths))).state)
    torch.testing.assert_close(found.logits, expected.logits)


def ddp(rank, mesh):
    torch.manual_seed(0)
    plain = Seq2Seq(CONFIGS["additive"], dtype=torch.float64)
    given = batches(plain.config)
    model = copy.deepcopy(plain)
    replica = DistributedDataParallel(model)
    model.logits(replica(*given[rank]).readout).logsumexp(dim=2).mean().backward()
    check_gradients(model, plain, [loss_of(plain, batch) for batch in given])


def fsdp_root(rank, mesh):
    for config in CONFIGS.values():
        check_model(rank, config, lambda model: fully_shard(model, mesh=mesh))
        check_model(rank, config, lambda model: fully_shard(model, mesh=mesh, reshard_after_forward=True))


def fsdp_every_module(rank, mesh):
    def shard(model):
        for module in reversed([*model.modules()]):
            if not isinstance(module, nn.ModuleList) and [*module.parameters()]:
                fully_shard(module, mesh=mesh, reshard_after_forward=True)

    for config in CONFIGS.values():
        check_model(rank, config, shard)


def fsdp_one_module(rank, mesh):
    names = ("decoder.attention", "decoder.attention.query_projection", "decoder.cells.0", "encoder.forward_cells.0")
    for name in (*names, "decoder.embedding", "encoder.embedding", "decoder.readout", "decoder.output", "encoder"):
        check_model(
            rank, CONFIGS["additive"], lambda model, name=name: fully_shard(model.get_submodule(name), mesh=mesh)
        )


def fsdp_attention(rank, mesh):
    for plain in (AdditiveAttention(4, 5, 6), HistoryAttention(4, 5, 6, "location", filters=2)):
        layer = fully_shard(copy.deepcopy(plain), mesh=mesh)
        query, values, lengths = torch.randn(2, 4), torch.randn(2, 3, 5), torch.tensor([3, 1])
        memory = layer.memory(values, lengths=lengths)
        torch.testing.assert_close(layer(query, memory=memory)[0], plain(query, values, lengths=lengths)[0])
        torch.testing.assert_close(layer(query, values, lengths=lengths)[0], plain(query, values, lengths=lengths)[0])
        layer(query, memory=memory)[0].sum().backward()
        assert all(parameter.grad is not None for parameter in layer.parameters())


def fsdp_from_meta(rank, mesh):
    model = Seq2Seq(CONFIGS["additive"], device="meta")
    fully_shard(model, mesh=mesh)
    model.to_empty(device="cpu")
    model.reset_parameters()
    assert all(full(parameter).isfinite().all() for parameter in model.parameters())
    loss_of(model, batch_of(model.config)).backward()
    gates = full(model.decoder.cells[0].weight_hh).chunk(3)
    assert all(torch.allclose(gate @ gate.T, torch.eye(6), atol=1e-5) for gate in gates)


def dtensor_inputs(rank, mesh):
    layer, values = AdditiveAttention(4, 5, 6), distribute_tensor(torch.randn(2, 3, 5), mesh, [Shard(0)])
    for attention in (layer, distribute_module(layer, mesh)):
        try:
            attention(torch.randn(2, 4), values)
        except TypeError as error:
            assert "got a DTensor" in str(error)
        else:
            raise AssertionError("served")


SCENARIOS = (ddp, fsdp_root, fsdp_every_module, fsdp_one_module, fsdp_attention, fsdp_from_meta, dtensor_inputs)


def main() -> None:
    rank, store = int(sys.argv[1]), sys.argv[2]
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=WORLD)
    mesh = init_device_mesh("cpu", (WORLD,))
    failures = {}
    for scenario in SCENARIOS:
        torch.manual_seed(0)
        try:
            scenario(rank, mesh)
            failures[scenario.__name__] = ""
        except Exception:
            failures[scenario.__name__] = traceback.format_exc()
    print(json.dumps(failures))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
