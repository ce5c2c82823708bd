"""The CUDA engine: what its launchers would start, compiled, and the bytes that it moves."""
