"""Whether other processes kept the machine busy during a run: a timing beside them is worth little."""

from __future__ import annotations

import os
import time
from pathlib import Path

_STAT = Path("/proc/stat")


class Watch:
    """Counts from its making on how much of the cores went to other processes."""

    def __init__(self) -> None:
        self.began, self.busy, self.own = time.perf_counter(), _busy_seconds(), time.process_time()

    def others_share(self) -> float | None:
        """The share of all cores' time that others took; None where the system does not say."""
        busy = _busy_seconds()
        if busy is None or self.busy is None:
            return None
        own = time.process_time() - self.own
        elapsed = (time.perf_counter() - self.began) * (os.cpu_count() or 1)
        return max(0.0, busy - self.busy - own) / elapsed if elapsed else 0.0


def load_warning() -> str:
    """A line for the user where the load of the last minute says that others are at work; empty otherwise."""
    try:
        load = os.getloadavg()[0]
    except OSError:
        return ""
    if load < 0.5:
        return ""
    return f"warning: the load average is {load:.1f}; other processes make threaded timings much worse than they are"


def share_warning(share: float) -> str:
    """The same after a run, from the most that a watch counted."""
    if share < 0.05:
        return ""
    return f"warning: other processes took up to {share:.0%} of the cores during this run; repeat it on a quiet machine"


def _busy_seconds() -> float | None:
    """Seconds that all cores together have worked since the system started."""
    try:
        user, nice, system, _, _, irq, softirq = map(int, _STAT.read_text().split()[1:8])
    except (OSError, ValueError):
        return None
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")
