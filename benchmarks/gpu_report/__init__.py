"""What the compiled GPU kernels need and do, counted without a GPU.

From the bottom to the top, each importing only what stands before it:

    sizes, tensors            the sizes that are counted, and tensors that are shapes alone
    machine_code/             devices, a compiled kernel's resources, its instructions
    eager, formulas           eager PyTorch's kernels, and the formulas that it runs
    passes, decoder           one pass of an operator: ours, the libraries' and eager's
    triton/, cuda/            each engine's launches, compiled code and passes
    bounds, rows              a kernel's counts and the time that they imply
    decoder_steps, tables     a step of the decoder by every path; everything as tables
    command                   ``python -m benchmarks gpu-report``
"""
