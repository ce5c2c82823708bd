"""CUDA C++ under g++: ``include`` gives it CUDA's names, one fiber a thread, and ``compiler`` builds with it."""
