"""How much memory this machine can give to a restoration."""

import psutil
import torch

from seedvr_engine.pipeline.plan import Machine

# What the driver, the allocator's rounding and other programs may still need.
_DEVICE_SHARE, _HOST_SHARE = 0.92, 0.8


def this_machine(device: torch.device) -> Machine:
    """The budgets of a device and of the host, from what is free now."""
    host = int(psutil.virtual_memory().available * _HOST_SHARE)
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return Machine("cuda", int(free * _DEVICE_SHARE), host)
    return Machine(device.type, host, host)
