"""Every kernel compiles for every architecture without a warning and keeps its numbers in registers."""

import inspect
import re
import subprocess
from typing import NamedTuple

import pytest
import torch
import torch.utils.cpp_extension

import seq2seq_fast
from build_support import cuda
from build_support.cuda_kernels import compile_kernels, compile_ptx
from build_support.toolchain import ROOT, Unavailable
from seq2seq_fast.cuda_kernels.plan import THREADS

ENTRY = re.compile(r"Compiling entry function '(\w+)' for '(sm_\w+)'")
STACK = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
REGISTERS, SHARED = re.compile(r"Used (\d+) registers"), re.compile(r"(\d+) bytes smem")
KERNELS = sorted(cuda.SOURCES.glob("*.cu"))
MOST_REGISTERS = 168  # three blocks of 128 threads, or one and a half of 256, a multiprocessor


def nvcc():
    try:
        return cuda.find_nvcc()
    except Unavailable as error:
        pytest.skip(str(error))


class Resources(NamedTuple):
    """What ptxas says of a kernel on one architecture: of a thread but for the static shared memory of a block."""

    kernel: str
    architecture: str
    stack: int
    spill_stores: int
    spill_loads: int
    registers: int
    shared: int


def parse(messages):
    """The resources in the order of ``-Xptxas -v``. An entry whose figures are not understood is an error."""
    found, entry, stack = [], None, None
    for line in messages.splitlines():
        if match := ENTRY.search(line):
            assert entry is None, f"no figures for {entry}"
            entry, stack = match.groups(), None
        elif match := STACK.search(line):
            stack = tuple(map(int, match.groups()))
        elif match := REGISTERS.search(line):
            assert entry is not None and stack is not None, line
            shared = SHARED.search(line)
            found.append(Resources(*entry, *stack, int(match[1]), int(shared[1]) if shared else 0))
            entry = None
    assert entry is None, f"no figures for {entry}"
    return found


def compiled(source, tmp_path, architectures):
    """Every kernel of a source for every architecture."""
    done = subprocess.run(
        [
            nvcc(), "-std=c++17", "-O3", "-fatbin", cuda.gencode(architectures), "-Xptxas=-v", "-Werror=all-warnings",
            f"-I{ROOT / 'csrc'}", str(source), "-o", str(tmp_path / "out"),
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return parse(done.stderr)


def check(source, tmp_path, architectures):
    found = compiled(source, tmp_path, architectures)
    ptx = tmp_path / "kernels.ptx"
    compile_ptx(source, ptx)
    # A name holds a hash of the file's translation, the same for all that come from one PTX.
    kernels = {unhashed(name) for name in re.findall(r"\.entry (\w+)", ptx.read_text())}
    wanted = {(kernel, f"sm_{architecture}") for kernel in kernels for architecture in architectures}
    assert {(unhashed(one.kernel), one.architecture) for one in found} == wanted and len(found) == len(wanted)
    for one in found:
        where = f"{one.kernel} on {one.architecture}"
        assert one.spill_stores == one.spill_loads == 0, f"{where} spills {one.spill_stores} bytes"
        assert one.registers <= MOST_REGISTERS, f"{where} needs {one.registers} registers"
        assert one.shared == 0, f"{where} has {one.shared} bytes of shared memory that its launcher does not know of"


def unhashed(name):
    return re.sub(r"_GLOBAL__N__[0-9a-f]+|_cu_[0-9a-f]+", "", name)


MESSAGES = """
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'attend' for 'sm_80'
ptxas info    : Function properties for attend
    8 bytes stack frame, 4 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 48 registers, used 1 barriers, 1024 bytes smem, 8 bytes cumulative stack size, 392 bytes cmem[0]
ptxas info    : Compiling entry function 'combine' for 'sm_90'
ptxas info    : Function properties for combine
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 32 registers, used 0 barriers
"""


def test_what_ptxas_says_is_read_kernel_by_kernel():
    assert parse(MESSAGES) == [
        Resources("attend", "sm_80", 8, 4, 12, 48, 1024), Resources("combine", "sm_90", 0, 0, 0, 32, 0)
    ]  # fmt: skip
    with pytest.raises(AssertionError, match=r"no figures for .*attend"):
        parse(MESSAGES.replace("Used 48 registers", "Uses 48 registers"))
    with pytest.raises(AssertionError, match=r"no figures for .*combine"):
        parse(MESSAGES.replace("Used 32 registers", "32 registers"))


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
