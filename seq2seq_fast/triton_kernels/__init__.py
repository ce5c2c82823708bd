"""The raw operators as Triton kernels: float32, float16 and bfloat16 tensors, float32 accumulation.

Importing its modules imports triton. :mod:`seq2seq_fast.triton_kernels.registration` declares the operators.
"""
