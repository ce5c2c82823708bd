"""What can go wrong when PTX is parsed or executed. Every message names the line of the PTX text."""


class PtxError(Exception):
    """Base of all errors of the interpreter."""


class PtxSyntaxError(PtxError):
    """The text is not PTX that the parser understands."""


class UnsupportedInstruction(PtxError):
    """An opcode, a modifier or an operand form that the interpreter does not execute."""


class MemoryFault(PtxError):
    """An access outside every allocation, a misaligned one, or a store to read-only memory."""


class SynchronizationError(PtxError):
    """A barrier or a warp-wide instruction that the threads it waits for never reach."""


class SharedMemoryRace(PtxError):
    """Two warps touched the same shared memory, one of them writing, with no barrier between."""


class KernelTrap(PtxError):
    """The kernel executed `trap`, or did not end within the allowed number of steps."""
