"""What each opcode does. Importing this package fills the table that `lookup` reads."""

from tests.emulators.ptx.instructions import (  # noqa: F401
    arithmetic,
    atomics,
    bits,
    carry,
    comparison,
    conversion,
    integers,
    matrix,
    memory,
    movement,
    transcendental,
    warp,
)
from tests.emulators.ptx.instructions.table import lookup, supported

__all__ = ["lookup", "supported"]
