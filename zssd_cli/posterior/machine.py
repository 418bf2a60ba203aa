"""What the machine at hand allows: the precision of the network and how many samples are drawn together.

Neither changes a result beyond rounding. (The size of a window does, so it is a setting and never follows the memory.)
"""

import math
import os
from pathlib import Path

import torch

FIELD_COPIES = 14
"""Fields of a sample that are alive at once while it is drawn (noise, two denoised ones, their spectra, increments)."""
FEATURE_COPIES = 16
"""Features of the finest level that are alive at once in the network, in units of that level's width."""
SHARE = 0.5
"""Share of the free memory that may be used; half of it for fields, half for the network."""
MOST = 64
"""Samples drawn together at most."""


def network_precision(name: str, device: torch.device, *, gradients: bool = False) -> torch.dtype:
    """float32 or bfloat16 for the network; ``auto`` is bfloat16 where the device computes in it.

    Parameters
    ----------
    name
        auto, float32 or bfloat16.
    device
        Where the network is.
    gradients
        True where the guidance differentiates through the network: ``auto`` is float32 then.
    """
    if name != "auto":
        return getattr(torch, name)
    if gradients:
        return torch.float32
    return torch.bfloat16 if has_bfloat16(device) else torch.float32


def has_bfloat16(device: torch.device) -> bool:
    """True for GPUs with bfloat16 arithmetic and for processors with AVX512_BF16 or AMX."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # torch has no public name for these; a version without them computes in float32
    tests = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return device.type == "cpu" and any(test() for test in tests if test is not None)


def free_memory(device: torch.device) -> int:
    """Bytes that a run may still take: of the GPU, or of the machine and of what Slurm or a container leaves of it."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return int(min(_machine_memory(), group_memory()))


def group_memory(root: Path = Path("/")) -> float:
    """Bytes left below the limits of this process's control groups (versions 1 and 2); infinite where there are none."""
    left, table = math.inf, root / "proc/self/cgroup"
    for line in table.read_text().splitlines() if table.is_file() else ():
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        version_1 = bool(controllers)
        top = root / "sys/fs/cgroup" / ("memory" if version_1 else "")
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes") if version_1 else ("memory.max", "memory.current")
        group = top / path.lstrip("/")
        for folder in (group, *group.parents):
            if not folder.is_relative_to(top):
                break
            try:
                limit, used = (float((folder / name).read_text()) for name in names)
                stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
                # what files other jobs read and write lies in memory until somebody needs it
                cached = sum(float(stat.get(name, 0)) for name in ("inactive_file", "active_file"))
            except (OSError, ValueError):
                # no such group, or "max": no limit here
                continue
            left = min(left, limit - used + cached)
    return max(left, 0.0)


def _machine_memory() -> int:
    table = Path("/proc/meminfo")
    if table.is_file():
        for line in table.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return 4 * 1024**3


def plan_batch(cells: int, variables: int, free: int, device: torch.device) -> int:
    """Samples to draw together, from the cells of one and the free memory in bytes.

    On a processor every sample is drawn alone: its arithmetic, and so a member to the last bit, then does not hang on how
    many there are. Batches were 15 percent faster there.
    """
    if device.type == "cpu":
        return 1
    return max(1, min(int(SHARE / 2 * free) // (FIELD_COPIES * variables * cells * 4), MOST))


def plan_call(width: int, free: int, precision: torch.dtype) -> int:
    """Cells that one call of the network may hold when several samples share it.

    Parameters
    ----------
    width
        Features of the network's finest level.
    free
        Free memory in bytes.
    precision
        Of the network.
    """
    size = torch.empty((), dtype=precision).element_size()
    count = int(SHARE / 2 * free) // (FEATURE_COPIES * width * size)
    return count
