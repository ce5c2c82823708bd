"""Compiled kernels for devices that need not be here: resources, occupancy, instructions, loops."""
