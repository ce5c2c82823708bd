"""Runs the kernels at odd shapes against float64 truth: ``python -m tests.cuda_kernels.exercise``.

With CUDAFIBER_MODULE set to a module built with a sanitizer, and its runtime preloaded, the sanitizer watches.
"""

import torch

from tests.ops import test_additive_attention, test_attention_decoder
from tests.support.cases import attention_case, decoder_case
from tests.support.cudafiber.emulated import emulated


def main() -> None:
    engine = emulated()
    torch.set_num_threads(1)
    for dtype in (torch.float32, torch.bfloat16):
        for queries, source, units, size in ((None, 83, 264, 72), (None, 19, 37, 33), (6, 40, 40, 24), (5, 7, 17, 9)):
            case = attention_case(2, queries, source, units, size, dtype=dtype, lengths=[source, source // 3])
            for need_weights in (True, False):
                test_additive_attention.assert_true(case, engine, need_weights)
    far = attention_case(2, 3, 5, 16, 8, scale=60.0)
    test_additive_attention.assert_true(far, engine)
    for cell, reset_after in (("gru", True), ("gru", False), ("lstm", True), ("rnn", True)):
        for sizes in ((8, 16, 16, 8), (5, 7, 9, 11)):
            case = decoder_case(cell, 2, 2, 21, *sizes, reset_after=reset_after, state_mask=True, lengths=[21, 4])
            test_attention_decoder.assert_true(case, engine, error=3e-5, roundings=12)


if __name__ == "__main__":
    main()
