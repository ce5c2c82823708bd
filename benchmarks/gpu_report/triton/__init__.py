"""The Triton engine: its launches noted in place of being made, compiled, and the bytes that they move."""
