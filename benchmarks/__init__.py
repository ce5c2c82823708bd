"""Benchmarks of seq2seq_fast: one registry of workloads, one runner. ``python -m benchmarks --help``."""
