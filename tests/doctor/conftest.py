"""The doctor examines what a user has: backends that other tests have registered are out of its sight."""

import importlib

import pytest

import seq2seq_fast

SHIPPED = ("reference", "cpu", "triton", "cuda")


@pytest.fixture(autouse=True)
def only_shipped_backends(monkeypatch):
    shipped = {name: status for name, status in seq2seq_fast.backends().items() if name in SHIPPED}
    monkeypatch.setattr(importlib.import_module("seq2seq_fast.ops.backends"), "_BACKENDS", shipped)
