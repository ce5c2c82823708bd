import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, torch
from seq2seq_fast.training.allocator import keep_freed_memory
if {keep}:
    assert keep_freed_memory()
faults = []
for _ in range(5):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    a, b = torch.ones(2**24), torch.ones(2**23)
    del a, b
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(faults[-1])
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator alone can be told")
def test_memory_that_was_freed_is_used_again_without_new_pages():
    def faults(keep):
        command = [sys.executable, "-c", PROGRAM.format(keep=keep)]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert faults(True) < 100 < 0.1 * faults(False)
