"""Which processes train together: what the launcher says that has started them, and nothing that is left over."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from lightning.fabric.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)
from lightning.pytorch.utilities import rank_zero_only

from seq2seq_fast.data import InputError
from seq2seq_fast.data.files import cannot_write
from seq2seq_fast.locks import Taken, locked
from seq2seq_fast.training.config import TrainingConfig

_TORCHRUN = (
    "TORCHELASTIC_RUN_ID", "RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT",
)  # fmt: skip


class Processes(NamedTuple):
    """The processes of a training.

    Attributes:
        devices: how many each machine has.
        nodes: how many machines there are.
        environment: how Lightning finds the others.
    """

    devices: int
    nodes: int
    environment: ClusterEnvironment

    @property
    def total(self) -> int:
        """How many there are."""
        return self.devices * self.nodes

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes."""
        return self.total == 1 or (self.environment.node_rank() == 0 and self.environment.local_rank() == 0)


def processes_of(training: TrainingConfig) -> Processes:
    """Return the processes that train together.

    Under torchrun it is torchrun that says. Under Slurm they are its tasks where the settings ask for as many; a job
    whose tasks are others (an allocation that someone works in, say) trains as the settings say.
    """
    if all(os.environ.get(name) for name in _TORCHRUN):
        devices = int(os.environ["LOCAL_WORLD_SIZE"])
        return Processes(devices, int(os.environ["WORLD_SIZE"]) // devices, TorchElasticEnvironment())
    count = training.devices * training.nodes
    if count == 1:
        # Variables of a launcher that has not started this process would make it another than the first.
        rank_zero_only.rank = 0
    elif os.environ.get("SLURM_PROCID") and os.environ.get("SLURM_NTASKS") == str(count):
        return Processes(training.devices, training.nodes, SLURMEnvironment(auto_requeue=False))
    return Processes(training.devices, training.nodes, LightningEnvironment())


@contextmanager
def claimable(work: Path, processes: Processes) -> Iterator[Callable[[], None]]:
    """Give what keeps other trainings out of a folder until the block is left, which a folder that is there does now.

    Args:
        work: the folder; it is made when it is claimed.
        processes: of which the first claims it, for all.

    Raises:
        InputError: another training writes there.
    """
    claimed = not processes.is_first
    with ExitStack() as stack:

        def claim() -> None:
            nonlocal claimed
            if claimed:
                return
            try:
                work.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locked(work / "lock"))
            except Taken as other:
                raise InputError(
                    f"{work}: another training writes here, {other}: wait until it has ended, or choose another "
                    "training.output"
                ) from None
            except OSError as error:
                raise cannot_write(work, error) from error
            claimed = True

        if work.is_dir():
            claim()
        yield claim
