"""What bounds are counted with, each with its source: shares of one multiprocessor in one cycle.

Measured figures of a device replace these, as soon as there is one; until then each is the least favourable of what is
published.
"""

# The second cache. NVIDIA's GA100 whitepaper names 5,120 bytes a clock for a whole A100, 47 for each of its
# multiprocessors. Measured on a GH100 it is 5.5 to 7 TB/s, 21 to 27 bytes of 132 multiprocessors at 1,980 MHz. The
# middle of that is taken for every device: 64, a sector pair, is what a multiprocessor can receive, not what it gets.
L2_BYTES = 24
# 32 banks of 4 bytes: CUDA C++ Programming Guide, "Shared Memory".
SHARED_BYTES = 128
# CUDA C++ Programming Guide, "Throughput of Native Arithmetic Instructions", compute capability 8.6 to 12.0; 8.0 has
# half of the multiply-adds.
MULTIPLY_ADDS, SPECIAL_FUNCTIONS = 128, 16
# 16-bit, mma.sync as on compute capability 8.0 (GA100 whitepaper: 312 TFLOPS); newer ones do more.
TENSOR_CORE_MULTIPLY_ADDS = 1024
# Cycles: an assumption, two crossings of the second cache and their queue.
GRID_BARRIER = 1500
