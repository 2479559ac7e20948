"""What the machine is and does just now, for people."""

import shutil
from dataclasses import dataclass

from seedvr_engine.jobs.folders import Folders
from seedvr_engine.jobs.supervisor import WorkerState
from seedvr_engine.pipeline.machine import driver_version, free_bytes, gpus, host_bytes, host_free_bytes


@dataclass(frozen=True)
class GpuStatus:
    """One GPU. name: as PyTorch calls it. label: for people."""

    name: str
    label: str
    total_bytes: int
    free_bytes: int


@dataclass(frozen=True)
class SystemStatus:
    """driver: NVIDIA's version, None without. disk_*: where results go."""

    gpus: tuple[GpuStatus, ...]
    driver: str | None
    host_total_bytes: int
    host_free_bytes: int
    disk_total_bytes: int
    disk_free_bytes: int
    worker: WorkerState
    queued: int
    running: int


def system_status(folders: Folders, worker: WorkerState, counts: dict[str, int]) -> SystemStatus:
    """Asks the machine; GPUs through NVML, which takes none of their memory."""
    disk = shutil.disk_usage(folders.outputs)
    cards = tuple(GpuStatus(gpu.name, gpu.label, gpu.total_bytes, free_bytes(gpu)) for gpu in gpus())
    return SystemStatus(
        cards,
        driver_version(),
        host_bytes(),
        host_free_bytes(),
        disk.total,
        disk.free,
        worker,
        counts.get("queued", 0),
        counts.get("running", 0),
    )
