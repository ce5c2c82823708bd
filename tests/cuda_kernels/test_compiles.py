"""Every kernel compiles for every architecture without a warning and keeps its numbers in registers."""

import inspect
import re
import subprocess

import pytest
import torch
import torch.utils.cpp_extension

import seq2seq_fast
from build_support import cuda
from build_support.cuda_kernels import compile_kernels
from build_support.toolchain import ROOT, Unavailable
from seq2seq_fast.cuda_kernels.plan import THREADS

KERNELS = sorted(cuda.SOURCES.glob("*.cu"))
MOST_REGISTERS = 168  # three blocks of 128 threads, or one and a half of 256, a multiprocessor


def nvcc():
    try:
        return cuda.find_nvcc()
    except Unavailable as error:
        pytest.skip(str(error))


def compiled(source, tmp_path, architectures):
    """Per kernel and architecture: registers, bytes of stack, bytes of spills."""
    done = subprocess.run(
        [
            nvcc(), "-std=c++17", "-O3", "-fatbin", cuda.gencode(architectures), "-Xptxas=-v", "-Werror=all-warnings",
            f"-I{ROOT / 'csrc'}", str(source), "-o", str(tmp_path / "out"),
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = re.findall(
        r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads\n.*?Used (\d+) registers",
        done.stderr,
    )
    assert found, done.stderr
    return [tuple(map(int, numbers)) for numbers in found]


def check(source, tmp_path, architectures):
    for _, stores, loads, registers in compiled(source, tmp_path, architectures):
        assert stores == loads == 0, f"{source.name} spills {stores} bytes"
        assert registers <= MOST_REGISTERS, f"{source.name} needs {registers} registers"


@pytest.mark.prove
@pytest.mark.parametrize("source", KERNELS, ids=lambda path: path.stem)
def test_every_kernel_compiles_without_warnings_or_spills_for_every_architecture(source, tmp_path):
    check(source, tmp_path, [name.removesuffix("+PTX") for name in cuda.architectures(nvcc())])


@pytest.mark.prove
def test_kernels_are_listed_with_their_block_and_code(tmp_path):
    nvcc()
    kernels = compile_kernels(90, tmp_path, ("attention_decoder",))
    assert len({kernel.name for kernel in kernels}) == 3
    for kernel in kernels:
        assert kernel.threads == THREADS and kernel.name.encode() in kernel.cubin.read_bytes()


@pytest.mark.prove
@pytest.mark.parametrize("name", ["attention_decoder", "attention_decoder_backward"])
def test_what_blocks_exchange_is_never_read_through_the_read_only_cache(name, tmp_path):
    ptx = tmp_path / "decoder.ptx"
    source = cuda.SOURCES / f"{name}.cu"
    command = [nvcc(), "-std=c++17", "-O3", "-arch=sm_80", "-ptx", f"-I{ROOT / 'csrc'}", str(source), "-o", str(ptx)]
    subprocess.run(command, check=True)
    text = ptx.read_text()
    assert text.count(".entry") == 3 and "mma.sync" in text and "ld.global" in text
    assert "ld.global.nc" not in text


def test_the_list_of_architectures_is_torchs(monkeypatch):
    monkeypatch.setenv("TORCH_CUDA_ARCH_LIST", "8.0;9.0a 12.0+PTX")
    assert cuda.architectures("nvcc") == ["80", "90a", "120+PTX"]
    assert cuda.gencode(["90a", "120"]) == "-gencode=arch=compute_90,code=[sm_90a,sm_120]"
    assert cuda.gencode(["80", "120+PTX"]) == "-gencode=arch=compute_80,code=[sm_80,sm_120,compute_80]"
    monkeypatch.setenv("TORCH_CUDA_ARCH_LIST", "8.0; Hopper;9.0 Ampere;")
    assert cuda.architectures("nvcc") == ["80", "90+PTX", "86+PTX"]


def test_torchs_names_of_architectures_are_known(monkeypatch):
    source = inspect.getsource(torch.utils.cpp_extension._get_cuda_arch_flags)
    for name, numbers in re.findall(r"\('(\w+(?:\+\w+)?)', '([\d.;+PTX]+)'\)", source):
        assert cuda.NAMED[name] == numbers, f"torch has {name} for {numbers}"


def test_architectures_that_are_too_old_are_left_out_with_one_line(monkeypatch, capsys):
    monkeypatch.setenv("TORCH_CUDA_ARCH_LIST", "7.5 8.0 9.0+PTX Volta")
    assert cuda.architectures("nvcc") == ["80", "90+PTX"]
    assert "7.5, 7.0+PTX is older than 8.0" in capsys.readouterr().err
    monkeypatch.setenv("TORCH_CUDA_ARCH_LIST", "Turing")
    with pytest.raises(Unavailable, match=r"Turing: 7\.5\+PTX is older than 8\.0"):
        cuda.architectures("nvcc")


def test_a_list_that_names_no_architecture_costs_the_cuda_engine_alone(monkeypatch):
    monkeypatch.setenv("TORCH_CUDA_ARCH_LIST", "8.0;Hooper")
    with pytest.raises(Unavailable, match="Hooper is no compute capability"):
        cuda.architectures("nvcc")


def test_without_nvcc_the_engine_is_left_out_with_a_reason(monkeypatch, tmp_path):
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    with pytest.raises(Unavailable, match="no nvcc was found"):
        cuda.find_nvcc()
    monkeypatch.setenv("SEQ2SEQ_FAST_BUILD_CUDA", "0")
    with pytest.raises(Unavailable, match="asked for no CUDA engine"):
        cuda.find_nvcc()


def test_an_engine_that_cannot_run_here_says_why():
    status = seq2seq_fast.backends()["cuda"]
    if not status.usable:
        assert status.reason.startswith("torch sees no CUDA device" if status.built else "not built: ")
        with pytest.raises(ValueError, match=re.escape(status.reason)):
            seq2seq_fast.additive_score(
                torch.zeros(1, 2), seq2seq_fast.attention_memory(torch.zeros(1, 3, 2), torch.zeros(1, 3, 2)),
                torch.zeros(2), backend="cuda",
            )  # fmt: skip
