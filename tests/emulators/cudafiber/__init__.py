"""CUDA C++ under g++, each CUDA thread a fiber. See README.md."""
