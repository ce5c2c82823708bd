"""The workloads, one file for each family of operators."""
