"""The raw operators as Triton kernels: float32, float16 and bfloat16 tensors, float32 accumulation.

Importing this package imports triton. :mod:`seq2seq_fast.triton_kernels.registration` declares the operators in the
namespace ``seq2seq_fast_triton``.
"""
