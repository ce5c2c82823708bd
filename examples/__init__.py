"""Worked examples: sources other than text on the public layers."""
