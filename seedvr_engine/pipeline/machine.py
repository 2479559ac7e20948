"""How much memory this machine can give to a restoration."""

import gc
from pathlib import Path

import psutil
import torch

from seedvr_engine.pipeline.plan import Machine

# What the driver, the allocator's rounding and other programs may still need.
_DEVICE_SHARE, _HOST_SHARE = 0.92, 0.8
# Limit, use and details of a container's memory, for control groups of version 2 and 1.
_LIMITS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        "/sys/fs/cgroup/memory/memory.stat",
    ),
)
_FILE_PAGES = ("inactive_file", "active_file")


def this_machine(device: torch.device) -> Machine:
    """The budgets of a device and of the host, from what is free now."""
    host = int(min(psutil.virtual_memory().available, _container_free()) * _HOST_SHARE)
    if device.type == "cuda":
        # What an earlier restoration of this process left in PyTorch's cache is free.
        gc.collect()
        torch.cuda.empty_cache()
        free, _ = torch.cuda.mem_get_info(device)
        return Machine("cuda", int(free * _DEVICE_SHARE), host)
    return Machine(device.type, host, host)


def _container_free() -> float:
    """Bytes that the container may still take, which the host's numbers hide; infinite outside of one."""
    for limit, used, details in _LIMITS:
        try:
            free = int(Path(limit).read_text()) - int(Path(used).read_text())
            # Pages of files count as used and give way when something needs the room.
            lines = (line.split() for line in Path(details).read_text().splitlines())
            return free + sum(int(value) for name, value in lines if name in _FILE_PAGES)
        except (OSError, ValueError):  # Not there, or "max".
            continue
    return float("inf")
