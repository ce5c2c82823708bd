"""One test for each row of docs/pytorch_tools.md that no other file has: PyTorch's own tools on the whole model."""

import copy
import importlib
import io
import pickle
import re
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

from seq2seq_fast import AttentionMemory, backends, use_backend
from seq2seq_fast.nn import Seq2Seq
from seq2seq_fast.ops.cpu import library_path
from tests.nn.support import batch_of, tiny

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "docs" / "pytorch_tools.md"


class Logits(nn.Module):
    """The model as a function of tensors alone."""

    def __init__(self, **options):
        super().__init__()
        self.model = Seq2Seq(tiny(**options))

    def forward(self, source, lengths, target):
        return self.model.logits(self.model(source, lengths, target).readout)


def logits_and_batch(**options):
    module = Logits(**options).eval()
    return module, batch_of(module.model.config)


def gradients(module, outputs):
    torch.manual_seed(1)
    wanted = dict(module.named_parameters())
    found = torch.autograd.grad((outputs * torch.randn_like(outputs)).sum(), list(wanted.values()))
    return {name.rpartition("model.")[2]: grad for name, grad in zip(wanted, found, strict=True)}


def computes_the_same(tool, module, batch):
    """The tool's function has the module's outputs and every parameter's gradient."""
    found, expected = tool(*batch), module(*batch)
    torch.testing.assert_close(found, expected)
    ours, theirs = gradients(tool, found), gradients(module, expected)
    assert ours.keys() == theirs.keys()
    for name, grad in ours.items():
        torch.testing.assert_close(
            grad, theirs[name], atol=1e-5, rtol=1e-4, msg=lambda text, name=name: f"{name}: {text}"
        )


def test_the_table_names_tests_that_there_are():
    rows = [line for line in TABLE.read_text().splitlines() if line.startswith("| ") and "tests/" in line]
    assert len(rows) >= 25
    for row in rows:
        for path, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row):
            module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
            assert hasattr(module, name), row
        assert "::" in row, row


def test_compile():
    torch._dynamo.reset()
    module, batch = logits_and_batch()
    computes_the_same(torch.compile(module, backend="aot_eager", fullgraph=True), module, batch)


@pytest.mark.prove
def test_compile_by_inductor():
    torch._dynamo.reset()
    module, batch = logits_and_batch()
    computes_the_same(torch.compile(module, fullgraph=True), module, batch)


@pytest.mark.parametrize("strict", [True, False], ids=["strict", "not strict"])
def test_export(strict):
    module, batch = logits_and_batch()
    computes_the_same(torch.export.export(module, batch, strict=strict).module(), module, batch)


def test_export_with_sizes_that_vary():
    module, batch = logits_and_batch()
    auto = torch.export.Dim.AUTO
    sizes = ({0: auto, 1: auto}, {0: auto}, {0: auto, 1: auto})
    exported = torch.export.export(module, batch, dynamic_shapes=sizes).module()
    computes_the_same(exported, module, batch_of(module.model.config, (4, 3, 6, 1), target=7))


def packaged(module, batch, path):
    with torch.no_grad():
        program = torch.export.export(module, batch)
        return torch._inductor.aoti_compile_and_package(program, package_path=str(path))


@pytest.mark.prove
def test_aotinductor_in_python(tmp_path):
    module, batch = logits_and_batch()
    loaded = torch._inductor.aoti_load_package(packaged(module, batch, tmp_path / "model.pt2"))
    torch.testing.assert_close(loaded(*batch), module(*batch))


RUNNER = """
#include <dlfcn.h>
#include <iostream>
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>
#include <torch/torch.h>
int main(int count, char** arguments) {
  if (count > 2 && dlopen(arguments[2], RTLD_NOW | RTLD_GLOBAL) == nullptr) {
    std::cerr << dlerror();
    return 1;
  }
  c10::InferenceMode mode;
  torch::inductor::AOTIModelPackageLoader loader(arguments[1]);
  auto source = torch::arange(8, torch::kInt64).reshape({2, 4});
  auto lengths = torch::tensor({4, 2}, torch::kInt64);
  auto target = torch::arange(6, torch::kInt64).reshape({2, 3});
  auto logits = loader.run({source, lengths, target})[0].contiguous();
  for (int64_t i = 0; i < logits.numel(); ++i) std::cout << logits.data_ptr<float>()[i] << "\\n";
}
"""


@pytest.mark.prove
def test_aotinductor_in_cpp(tmp_path):
    import subprocess

    from torch.utils.cpp_extension import include_paths, library_paths

    module, _ = logits_and_batch()
    batch = torch.arange(8).reshape(2, 4), torch.tensor([4, 2]), torch.arange(6).reshape(2, 3)
    (tmp_path / "runner.cpp").write_text(RUNNER)
    places = [f"-I{path}" for path in include_paths()]
    places += [flag for path in library_paths() for flag in (f"-L{path}", f"-Wl,-rpath,{path}")]
    abi = f"-D_GLIBCXX_USE_CXX11_ABI={int(torch.compiled_with_cxx11_abi())}"
    command = ["g++", "-std=c++20", "-O0", abi, "runner.cpp", "-o", "runner", *places, "-Wl,--no-as-needed"]
    subprocess.run([*command, "-ltorch", "-ltorch_cpu", "-lc10", "-ldl"], cwd=tmp_path, check=True)

    def run(path, *libraries):
        command = [str(tmp_path / "runner"), str(path), *map(str, libraries)]
        return subprocess.run(command, capture_output=True, text=True)

    def gives_the_models_outputs(done):
        assert done.returncode == 0, done.stderr
        found = torch.tensor([float(line) for line in done.stdout.split()]).reshape(2, 3, 11)
        torch.testing.assert_close(found, module(*batch), atol=1e-4, rtol=1e-4)

    with use_backend("reference"):
        gives_the_models_outputs(run(packaged(module, batch, tmp_path / "reference.pt2")))
    if not backends()["cpu"].usable:
        return
    # One library defines and implements the operators: no Python, and nothing else of this package.
    fused = packaged(module, batch, tmp_path / "fused.pt2")
    gives_the_models_outputs(run(fused, library_path(backends()["cpu"].reason)))
    without = run(fused)
    assert without.returncode != 0 and "seq2seq_fast_cpu" in without.stderr


def onnx_program(module, batch):
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    with torch.no_grad():
        return torch.onnx.export(module, batch, dynamo=True, verbose=False)


def test_onnx():
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    module, batch = logits_and_batch()
    with use_backend("reference"):
        program = onnx_program(module, batch)
        torch.testing.assert_close(program(*batch)[0], module(*batch), atol=1e-5, rtol=1e-4)


@pytest.mark.prove
def test_onnx_knows_no_compiled_operator():
    with pytest.raises(torch.onnx.OnnxExporterError, match=r"No ONNX function found for.*seq2seq_fast_cpu"):
        onnx_program(*logits_and_batch())


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_jit_trace():
    module, batch = logits_and_batch()
    computes_the_same(torch.jit.trace(module, batch), module, batch)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_jit_script_is_refused():
    with pytest.raises(ValueError, match="Unknown type annotation"):
        torch.jit.script(logits_and_batch()[0])


def test_fx_symbolic_trace_is_refused():
    with pytest.raises(
        TypeError, match=r"source must be a tensor \[B, Tx\] \(tokens\); got Proxy: torch\.export traces the operators"
    ):
        torch.fx.symbolic_trace(logits_and_batch()[0])


def test_func_grad_vmap_and_jacrev():
    module, (source, lengths, target) = logits_and_batch()
    module = module.double()
    parameters = {name: value.detach() for name, value in module.named_parameters()}

    def outputs(parameters, source, lengths, target):
        return torch.func.functional_call(module, parameters, (source[None], lengths[None], target[None]))[0]

    def loss(*arguments):
        return outputs(*arguments).logsumexp(dim=1).sum()

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0, 0))(parameters, source, lengths, target)
    jacobian = torch.func.jacrev(outputs)(parameters, source[0], lengths[0], target[0])
    for row in range(3):
        module.zero_grad()
        module(source[row][None], lengths[row][None], target[row][None]).logsumexp(dim=2).sum().backward()
        for name, parameter in module.named_parameters():
            torch.testing.assert_close(each[name][row], parameter.grad)
            if row == 0:
                probabilities = module(source[:1], lengths[:1], target[:1])[0].softmax(dim=1)
                chained = torch.tensordot(probabilities, jacobian[name], dims=2)
                torch.testing.assert_close(chained, parameter.grad)


def test_checkpointing():
    module, (source, lengths, target) = logits_and_batch()
    model = module.model.train()
    encoded = checkpoint(model.encoder, source, lengths, use_reentrant=False)
    output = checkpoint(model.decoder, target, model.start(encoded), use_reentrant=False)
    found, expected = model.logits(output.readout), module(source, lengths, target)
    torch.testing.assert_close(found, expected)
    theirs = gradients(module, expected)
    for name, grad in gradients(module, found).items():
        torch.testing.assert_close(grad, theirs[name])


def test_fake_tensors():
    from torch._subclasses.fake_tensor import FakeTensorMode

    module, batch = logits_and_batch()
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        logits = module(*(mode.from_tensor(part) for part in batch))
        assert logits.shape == (3, 4, 11)
        logits.sum().backward()


def test_flop_counting():
    module, batch = logits_and_batch()
    with FlopCounterMode(display=False) as counter:
        module(*batch)
    # Every matrix product is counted, since layers whose calls are watched are called: the readout's, at least.
    assert counter.get_flop_counts()["Logits.model.decoder.readout"]
    projection = module.model.decoder.output.weight
    assert counter.get_total_flops() > 2 * 12 * projection.numel()


def test_autocast():
    module, batch = logits_and_batch()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = module(*batch)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), module(*batch), atol=0.05, rtol=0.05)


def test_deterministic_algorithms():
    module, batch = logits_and_batch()
    torch.use_deterministic_algorithms(True)
    try:
        first, second = (gradients(module, module(*batch)) for _ in range(2))
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(grad, second[name]) for name, grad in first.items())


def test_meta():
    model = Seq2Seq(tiny(), device="meta")
    output = model(*(part.to("meta") for part in batch_of(model.config)))
    assert output.readout.shape == (3, 4, 4) and output.readout.is_meta


def test_deepcopy():
    module, batch = logits_and_batch(tie_embeddings=True)
    copied = copy.deepcopy(module)
    assert copied.model.decoder.output.weight is copied.model.decoder.embedding.weight
    assert copied.model.decoder.output.weight is not module.model.decoder.output.weight
    assert torch.equal(copied(*batch), module(*batch))


def test_pickle():
    module, batch = logits_and_batch()
    assert torch.equal(pickle.loads(pickle.dumps(module))(*batch), module(*batch))


def test_weights_only():
    module, batch = logits_and_batch()
    stored = io.BytesIO()
    torch.save(module.state_dict(), stored)
    stored.seek(0)
    other = Logits()
    other.load_state_dict(torch.load(stored, weights_only=True))
    assert torch.equal(other.eval()(*batch), module(*batch))


class Memories(torch.utils.data.Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return AttentionMemory(torch.full((2, 3), float(index)), torch.ones(2, 3))


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_dataloader_start_methods(method):
    loader = DataLoader(Memories(), batch_size=2, num_workers=1, multiprocessing_context=method)
    batches = list(loader)
    assert [type(batch) for batch in batches] == [AttentionMemory] * 2
    assert torch.cat([batch.keys[:, 0, 0] for batch in batches]).tolist() == [0, 1, 2, 3]


def test_averaged_models():
    module, batch = logits_and_batch()
    averaged = torch.optim.swa_utils.AveragedModel(module)
    averaged.update_parameters(module)
    assert torch.equal(averaged(*batch), module(*batch))
