"""CUDA kernels without a GPU: `cudafiber` runs their sources, `ptx` runs the code that compilers make of them."""
