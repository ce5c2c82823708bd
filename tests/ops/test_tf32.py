"""Precision of float32 products: matrix products and cuDNN's recurrences follow one setting."""

import subprocess
import sys

import pytest
import torch

import seq2seq_fast

matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn


def newer():
    return matmul.fp32_precision, cudnn.rnn.fp32_precision, cudnn.conv.fp32_precision


def older():
    return matmul.allow_tf32, cudnn.allow_tf32, torch.get_float32_matmul_precision()


@pytest.mark.parametrize("enabled", [False, True])
def test_products_and_recurrences_follow_one_setting_until_the_block_ends(enabled):
    before = newer(), older()
    with seq2seq_fast.use_tf32(enabled):
        assert newer() == (("tf32" if enabled else "ieee"),) * 3
        assert older() == (enabled, enabled, "high" if enabled else "highest")
        with seq2seq_fast.use_tf32(not enabled):
            assert older()[:2] == (not enabled, not enabled)
        assert older()[:2] == (enabled, enabled)
    assert (newer(), older()) == before


def test_it_ends_with_an_error_too():
    before = newer(), older()
    with pytest.raises(KeyError), seq2seq_fast.use_tf32(True):
        raise KeyError
    assert (newer(), older()) == before


PROGRAM = """
import os, torch, seq2seq_fast
matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn

def now():
    found = [matmul.fp32_precision, cudnn.rnn.fp32_precision, cudnn.conv.fp32_precision]
    for ask in (lambda: matmul.allow_tf32, lambda: cudnn.allow_tf32, torch.get_float32_matmul_precision):
        try:
            found.append(ask())
        except RuntimeError:  # torch's answer where its older settings cannot say what the newer ones do
            found.append(None)
    return found

for users in (
    "torch.set_float32_matmul_precision('high')",
    "torch.set_float32_matmul_precision('medium')",
    "torch.backends.cudnn.allow_tf32 = False",
    "torch.backends.cuda.matmul.fp32_precision = 'tf32'",
    "torch.backends.fp32_precision = 'tf32'",
    "torch.backends.cudnn.rnn.fp32_precision = 'ieee'",
):
    child = os.fork()
    if child == 0:
        exec(users)
        before = now()
        for enabled in (False, True):
            with seq2seq_fast.use_tf32(enabled):
                assert now()[:5] == 3 * ["tf32" if enabled else "ieee"] + [enabled, enabled], now()
            same = [one is None or one == other for one, other in zip(before, now())]
            assert all(same), (users, before, now())
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, users
"""


def test_whatever_way_a_user_has_set_precision_is_there_again_afterwards():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
