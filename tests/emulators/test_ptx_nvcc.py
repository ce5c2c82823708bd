"""The PTX interpreter on what nvcc makes of small CUDA kernels."""

import math
import shutil
import subprocess

import numpy as np
import pytest
import torch

from tests.emulators import ptx

pytestmark = pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc is not installed")

SOURCE = r"""
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_pipeline.h>
#include <math.h>

__constant__ float table[4] = {1, 2, 3, 4};
struct Sizes { const float* x; int count; float scale[3]; };

extern "C" __global__ void functions(Sizes sizes, float* out, int pick) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= sizes.count) return;
  float x = sizes.x[i], a = fabsf(x);
  float local[9];
  for (int j = 0; j < 9; ++j) local[j] = x * j;
  float y = tanhf(x) + expf(x) + logf(a) + sinf(x) + powf(a, 1.3f) + erff(x) + x / sizes.scale[1] + sqrtf(a)
      + __fdividef(x, 3.f) + rsqrtf(a + 1) + table[i & 3] + sizes.scale[pick % 3] + local[(pick + i) % 9];
  switch (pick + i % 3) {
    case 0: y += 1; break;
    case 1: y *= 2; break;
    case 2: y -= 3; break;
    case 3: y = -y; break;
    case 4: y = 7; break;
    case 5: y /= 3; break;
  }
  out[i] = y;
}

extern "C" __global__ void integers(const long long* x, long long* out, int divisor, int count) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count) return;
  long long v = x[i];
  out[i] = v / divisor + v % 5 + __mul64hi(v, 7) + __popcll(v) + __clz((int)v) + __brev((unsigned)v) + (v >> 3);
}

extern "C" __global__ void doubles(const double* x, double* out, int count) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) out[i] = exp(x[i]) / 3.0 + sqrt(fabs(x[i])) + fma(x[i], x[i], 1.0) + tanh(x[i]);
}

extern "C" __global__ void packed(const __half2* h, const __nv_bfloat162* b, __half2* ho, __nv_bfloat162* bo) {
  int i = threadIdx.x;
  ho[i] = __hmax2(__hfma2(h[i], h[i], __float2half2_rn(0.5f)), h2rsqrt(h[i]));
  bo[i] = __hmul2(__hadd2(b[i], __float2bfloat162_rn(0.25f)), b[i]);
}

__device__ float block_sum(float x, float* scratch) {
  for (int o = 16; o; o >>= 1) x += __shfl_xor_sync(0xffffffffu, x, o);
  if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = x;
  __syncthreads();
  x = threadIdx.x % 32 < blockDim.x / 32 ? scratch[threadIdx.x % 32] : 0.f;
  for (int o = 16; o; o >>= 1) x += __shfl_xor_sync(0xffffffffu, x, o);
  SYNC_AFTER_REDUCTION
  return x;
}

extern "C" __global__ void normalise(const float* __restrict__ x, float* __restrict__ out, int width) {
  extern __shared__ float row[];
  __shared__ float scratch[32];
  const float* from = x + (size_t)blockIdx.x * width;
  float sum = 0, squares = 0;
  for (int i = threadIdx.x; i < width; i += blockDim.x) { row[i] = from[i]; sum += row[i]; }
  sum = block_sum(sum, scratch);
  for (int i = threadIdx.x; i < width; i += blockDim.x) { float d = row[i] - sum / width; squares += d * d; }
  squares = block_sum(squares, scratch);
  for (int i = threadIdx.x; i < width; i += blockDim.x)
    out[(size_t)blockIdx.x * width + i] = (row[i] - sum / width) * rsqrtf(squares / width + 1e-5f);
}

extern "C" __global__ void staged(const float4* x, float4* out, int tiles) {
  __shared__ float4 tile[2][64];
  __pipeline_memcpy_async(&tile[0][threadIdx.x], x + threadIdx.x, 16);
  __pipeline_commit();
  float4 total = make_float4(0, 0, 0, 0);
  for (int t = 0; t < tiles; ++t) {
    if (t + 1 < tiles) __pipeline_memcpy_async(&tile[(t + 1) & 1][threadIdx.x], x + (t + 1) * 64 + threadIdx.x, 16);
    __pipeline_commit();
    __pipeline_wait_prior(1);
    __syncthreads();
    float4 v = tile[t & 1][63 - threadIdx.x];
    total.x += v.x; total.y += v.y; total.z += v.z; total.w += v.w;
    __syncthreads();
  }
  out[threadIdx.x] = total;
}
"""


def compile_ptx(folder, sync="__syncthreads();"):
    source = folder / "snippets.cu"
    source.write_text(SOURCE.replace("SYNC_AFTER_REDUCTION", sync))
    target = folder / "snippets.ptx"
    subprocess.run(["nvcc", "-ptx", "-arch=sm_80", "-o", target, source], check=True, capture_output=True)
    return ptx.load(target.read_text())


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    return compile_ptx(tmp_path_factory.mktemp("nvcc"))


def test_functions_of_the_math_library(module):
    count, pick = 300, 2
    x = np.random.default_rng(0).normal(size=count).astype(np.float32) * 3
    out = np.full(count, np.nan, np.float32)
    module.launch("functions", grid=5, block=64, args=[ptx.Struct("Pi3f", x, count, 1, 2, 3), out, pick])
    i, v = np.arange(count), x.astype(np.float64)
    a = np.abs(v)
    truth = np.tanh(v) + np.exp(v) + np.log(a) + np.sin(v) + a**1.3 + np.vectorize(math.erf)(v) + v / 2 + np.sqrt(a)
    truth += v / 3 + 1 / np.sqrt(a + 1) + (i % 4 + 1) + (pick % 3 + 1) + v * ((pick + i) % 9)
    case = pick + i % 3
    truth = np.select([case == 2, case == 3, case == 4], [truth - 3, -truth, 7 + 0 * truth])
    np.testing.assert_allclose(out, truth, rtol=3e-6, atol=3e-6)


def test_64_bit_integers(module):
    x = np.random.default_rng(0).integers(-(2**62), 2**62, 100)
    out = np.zeros_like(x)
    module.launch("integers", grid=2, block=64, args=[x, out, 12, 100])

    def expected(v):
        quotient = abs(v) // 12 * (1 if v >= 0 else -1)
        remainder = abs(v) % 5 * (1 if v >= 0 else -1)
        low = v % 2**32
        reverse = int(f"{low:032b}"[::-1], 2)
        return (
            quotient + remainder + (v * 7 >> 64) + (v % 2**64).bit_count() + 32 - low.bit_length() + reverse + (v >> 3)
        )

    assert out.tolist() == [expected(int(v)) for v in x]


def test_doubles(module):
    x = np.random.default_rng(0).normal(size=50) * 2
    out = np.full_like(x, np.nan)
    module.launch("doubles", grid=1, block=64, args=[x, out, 50])
    np.testing.assert_allclose(out, np.exp(x) / 3 + np.sqrt(abs(x)) + x * x + 1 + np.tanh(x), rtol=1e-14)


def test_packed_halves_and_bfloats(module):
    h, b = torch.rand(32, 2).half() + 0.1, torch.randn(32, 2).bfloat16()
    ho, bo = torch.zeros_like(h), torch.zeros_like(b)
    module.launch("packed", grid=1, block=32, args=[h, b, ho, bo])
    expected = torch.maximum(h.double() ** 2 + 0.5, h.double().rsqrt())
    torch.testing.assert_close(ho.double(), expected, rtol=2**-9, atol=0)
    assert torch.equal(bo, (b + 0.25) * b)


@pytest.mark.parametrize(("width", "threads"), [(1, 32), (257, 64), (300, 256)])
def test_reductions_of_a_block(module, width, threads):
    x = np.random.default_rng(0).normal(size=(7, width)).astype(np.float32)
    out = np.full_like(x, np.nan)
    report = module.launch("normalise", grid=7, block=threads, args=[x, out, width], shared=4 * width, order=5)
    centred = x - x.mean(1, keepdims=True, dtype=np.float64)
    np.testing.assert_allclose(out, centred / np.sqrt((centred**2).mean(1, keepdims=True) + 1e-5), atol=1e-6)
    assert report.threads("st.global") == 7 * width
    assert report.threads("shfl") == 7 * threads * 20


def test_copies_staged_two_deep(module):
    x = np.random.default_rng(0).normal(size=(5, 64, 4)).astype(np.float32)
    out = np.full((64, 4), np.nan, np.float32)
    module.launch("staged", grid=1, block=64, args=[x, out, 5])
    np.testing.assert_allclose(out, x.sum(0)[::-1], rtol=1e-5, atol=1e-6)


def test_a_deleted_barrier_is_found(tmp_path):
    broken = compile_ptx(tmp_path, sync="")
    x, out = np.ones((2, 256), np.float32), np.zeros((2, 256), np.float32)
    with pytest.raises(ptx.SharedMemoryRace, match=r"st\.shared"):
        broken.launch("normalise", grid=2, block=128, args=[x, out, 256], shared=1024)
