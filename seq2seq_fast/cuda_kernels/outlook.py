"""What the plans say of a device at known sizes: for people who ask before they run anything."""

from __future__ import annotations

from typing import NamedTuple

from seq2seq_fast.cuda_kernels.plan import DecoderPlan, Device, plan_decoder
from seq2seq_fast.cuda_kernels.plan_backward import plan_decoder_backward

SIZES = {
    "the paper's sizes": {"batch": 80, "positions": 50, "units": 1000, "hidden": 1000},
    "Multi30k's sizes": {"batch": 128, "positions": 20, "units": 320, "hidden": 320},
}
CELLS = ("gru", "lstm")
DTYPES = {"16 bits": 2, "float32": 4}


class Outlook(NamedTuple):
    """Both passes of a decoder whose GRU, if it has one, resets after the product."""

    sizes: str
    cell: str
    dtype: str
    forward: DecoderPlan
    backward: DecoderPlan

    @property
    def why_not(self) -> str:
        """Why a pass does not run in one launch; empty where both do."""
        return self.forward.reason or self.backward.reason


def outlook(device: Device) -> list[Outlook]:
    """Every size, cell and dtype."""
    found = []
    for name, sizes in SIZES.items():
        for cell in CELLS:
            for dtype, itemsize in DTYPES.items():
                plans = (
                    planner(device, cell=cell, reset_after=True, itemsize=itemsize, **sizes)
                    for planner in (plan_decoder, plan_decoder_backward)
                )
                found.append(Outlook(name, cell, dtype, *plans))
    return found
