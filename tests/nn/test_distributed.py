"""Replicated and sharded training and decoding in two processes on one machine."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
SCENARIOS = (
    "ddp",
    "fsdp_root",
    "fsdp_every_module",
    "fsdp_one_module",
    "fsdp_attention",
    "fsdp_from_meta",
    "dtensor_inputs",
)

pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available() or not torch.distributed.is_gloo_available(),
    reason="this torch has no gloo, with which processes talk on a CPU",
)


@pytest.fixture(scope="module")
def failures(tmp_path_factory):
    """What went wrong in each process, by scenario."""
    store = tmp_path_factory.mktemp("distributed") / "store"
    command = [sys.executable, "-m", "tests.nn.distributed_worker"]
    workers = [
        subprocess.Popen(
            [*command, str(rank), str(store)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for rank in range(2)
    ]
    found = []
    for worker in workers:
        try:
            output, errors = worker.communicate(timeout=180)
        finally:
            worker.kill()
        assert worker.returncode == 0, errors
        found.append(json.loads(output.splitlines()[-1]))
    return found


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_processes_compute_what_one_process_does(failures, scenario):
    for rank, found in enumerate(failures):
        assert found[scenario] == "", f"process {rank}"
