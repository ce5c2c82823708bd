"""What a GPU offers: limits of a multiprocessor, occupancy, published rates."""

from __future__ import annotations

from dataclasses import dataclass

WARP = 32


@dataclass(frozen=True)
class Limits:
    """A multiprocessor of one compute capability. Shared memory in bytes; `reserved_shared` is taken by every block."""

    warps: int
    blocks: int
    registers: int
    registers_per_thread: int
    shared: int
    shared_per_block: int
    reserved_shared: int = 1024
    register_unit: int = 256
    shared_unit: int = 128


# CUDA C++ Programming Guide, "Technical Specifications per Compute Capability"; the units of allocation and the blocks
# of a multiprocessor are those of cuda_occupancy.h in CUDA 13.
LIMITS: dict[int, Limits] = {
    80: Limits(64, 32, 65536, 255, 164 * 1024, 163 * 1024),
    86: Limits(48, 16, 65536, 255, 100 * 1024, 99 * 1024),
    89: Limits(48, 24, 65536, 255, 100 * 1024, 99 * 1024),
    90: Limits(64, 32, 65536, 255, 228 * 1024, 227 * 1024),
    100: Limits(64, 32, 65536, 255, 228 * 1024, 227 * 1024),
    120: Limits(48, 24, 65536, 255, 100 * 1024, 99 * 1024),
}


@dataclass(frozen=True)
class Occupancy:
    """Blocks and warps that a multiprocessor holds at once; `limiter` names what stops a further block."""

    blocks: int
    warps: int
    fraction: float
    limiter: str


def occupancy(capability: int, *, threads: int, registers: int, shared_bytes: int) -> Occupancy:
    """How many blocks of `threads` threads fit a multiprocessor.

    Args:
        registers: registers a thread; they are allocated by warp in units of 256, over four partitions.
        shared_bytes: static and dynamic shared memory of a block, without what the system reserves.

    Raises:
        KeyError: for a capability without limits here.
        ValueError: where not even one block fits.
    """
    limits = LIMITS[capability]
    warps = -(-threads // WARP)
    if registers > limits.registers_per_thread:
        raise ValueError(
            f"{registers} registers a thread; compute capability {capability} has {limits.registers_per_thread}"
        )
    if shared_bytes > limits.shared_per_block:
        raise ValueError(f"{shared_bytes} bytes of shared memory; a block has {limits.shared_per_block} at most")
    registers_per_warp = _round_up(max(registers, 1) * WARP, limits.register_unit)
    # Each of the four partitions holds whole warps only.
    warps_by_registers = limits.registers // 4 // registers_per_warp * 4
    shared = _round_up(shared_bytes + limits.reserved_shared, limits.shared_unit)
    room = {
        "warps": limits.warps // warps,
        "registers": warps_by_registers // warps,
        "shared memory": limits.shared // shared,
        "blocks": limits.blocks,
    }
    limiter = min(room, key=lambda name: room[name])
    blocks = room[limiter]
    if blocks == 0:
        raise ValueError(f"no block of {threads} threads fits: {limiter}")
    return Occupancy(blocks, blocks * warps, blocks * warps / limits.warps, limiter)


def _round_up(value: int, unit: int) -> int:
    return -(-value // unit) * unit


@dataclass(frozen=True)
class Rates:
    """Published peak rates of a device. `fp32` and `special` count results a clock of one multiprocessor.

    `latency_cycles` is a load from device memory.
    """

    name: str
    capability: int
    bandwidth: float
    multiprocessors: int
    clock_hz: float
    fp32: int
    special: int
    latency_cycles: float

    @property
    def fp32_per_second(self) -> float:
        """FP32 instructions (a multiply-add is one) a second, by all multiprocessors, counted by thread."""
        return self.multiprocessors * self.fp32 * self.clock_hz

    @property
    def special_per_second(self) -> float:
        """Special-function results a second."""
        return self.multiprocessors * self.special * self.clock_hz

    @property
    def bytes_in_flight(self) -> float:
        """Bytes that each multiprocessor must have under way to keep the memory busy (Little's law)."""
        return self.bandwidth * self.latency_cycles / self.clock_hz / self.multiprocessors

    def blocks_at_once(self, grid: int, most: int) -> float:
        """Blocks that a multiprocessor which holds `most` runs at once: the average of all, idle ones included."""
        return min(most, grid / self.multiprocessors)


# Bandwidth, multiprocessors and boost clock: NVIDIA A100 80GB SXM datasheet (2,039 GB/s, 19.5 TFLOPS) and GA100
# whitepaper (108, 1,410 MHz); H100 SXM5 datasheet (3.35 TB/s, 67 TFLOPS) and GH100 whitepaper (132, 1,980 MHz); DGX
# B200 datasheet (64 TB/s of eight GPUs), 148 multiprocessors at 1,965 MHz as nvidia-smi reports for B200.
# Results a clock: CUDA C++ Programming Guide, "Throughput of Native Arithmetic Instructions".
# Latency: Luo et al., arXiv 2402.13499, Table IV (A100 466.3 cycles, H800 478.8). None is published for B200 in
# cycles; 800 is an assumption on the safe side (two dies, larger L2).
# GeForce: NVIDIA's specifications of the RTX 3090 (936 GB/s, 82, 1,695 MHz), 4090 (1,008 GB/s, 128, 2,520 MHz) and
# 5090 (1,792 GB/s, 170, 2,407 MHz); their latency of 541.5 cycles is an assumption, between the others'.
RATES: dict[str, Rates] = {
    "A100": Rates("A100", 80, 2.039e12, 108, 1.410e9, 64, 16, 466.3),
    "H100": Rates("H100", 90, 3.35e12, 132, 1.980e9, 128, 16, 478.8),
    "B200": Rates("B200", 100, 8.0e12, 148, 1.965e9, 128, 16, 800.0),
    "RTX 3090": Rates("RTX 3090", 86, 9.36e11, 82, 1.695e9, 128, 16, 541.5),
    "RTX 4090": Rates("RTX 4090", 89, 1.008e12, 128, 2.520e9, 128, 16, 541.5),
    "RTX 5090": Rates("RTX 5090", 120, 1.792e12, 170, 2.407e9, 128, 16, 541.5),
}
