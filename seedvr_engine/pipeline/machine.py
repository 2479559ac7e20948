"""The devices of this machine and the memory that they can give. Knows no torch.

NVIDIA's management library (NVML) tells of the GPUs without touching them, so that the page's process holds
none of their memory.
"""

import importlib.util
import os
import platform
import runpy
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psutil
import pynvml

from seedvr_engine.errors import UsageError
from seedvr_engine.pipeline.heap import give_back_gpu
from seedvr_engine.pipeline.plan import Machine

# CUDA counts the fastest GPU first, NVML and nvidia-smi go by slot: one order for all.
os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")

# What the driver, the allocator's rounding and other programs may still need.
_DEVICE_SHARE, _HOST_SHARE = 0.92, 0.8
_FIRST_WITH_BF16 = (8, 0)
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

# Bytes of each device (by name; "cpu" is the host) that this process holds and gives up when they are needed.
_held: dict[str, int] = {}
# Free bytes of each GPU before a process of ours took some.
_free_before: dict[str, int] = {}
# Processes that share the host's memory in equal parts.
_processes = {"count": 1}


@dataclass(frozen=True)
class Device:
    """Something that can compute.

    name: as PyTorch calls it: "cpu", "cuda:0", "mps". label: for people, "NVIDIA GeForce RTX 4090".
    total_bytes: its memory. capability: CUDA's, (8, 9) for an RTX 4090; None for others.
    cores: of a CPU, as many as this process may use; 0 for others.
    """

    name: str
    label: str
    total_bytes: int
    capability: tuple[int, int] | None = None
    cores: int = 0

    @property
    def type(self) -> str:
        """ "cpu", "cuda" or "mps"."""
        return self.name.partition(":")[0]

    @property
    def has_bf16(self) -> bool:
        """Whether it is fast at bfloat16."""
        return self.capability is not None and self.capability >= _FIRST_WITH_BF16

    def __str__(self) -> str:
        return self.name


def choose_device(name: str) -> Device:
    """ "auto" takes the first GPU, else the CPU. Raises UsageError for a device that is not there."""
    if name == "auto":
        return next(iter(gpus()), None) or cpu()
    if name == "mps" and has_mps():
        return Device("mps", platform.processor() or "Apple GPU", host_bytes())
    wanted = "cuda:0" if name == "cuda" else name
    for device in (cpu(), *gpus()):
        if device.name == wanted:
            return device
    raise UsageError(f"There is no device {name!r} here.", remedy="Leave `--device` out, or say cpu or cuda.")


def devices_that_share(wanted: int) -> list[str]:
    """The devices, one for each process, that may share the shots of a clip.

    wanted: how many, 0 for every GPU. Without a GPU the CPU stands as often as is wanted, once for 0.
    """
    cards = [device.name for device in gpus()]
    return cards[: wanted or None] if cards else ["cpu"] * max(1, wanted)


def cpu() -> Device:
    """The processor."""
    return Device("cpu", _processor(), host_bytes(), cores=_cores())


def gpus() -> list[Device]:
    """The GPUs that PyTorch can use, in its order; CUDA_VISIBLE_DEVICES is honoured.

    Empty where there is none, no driver, or a PyTorch that was built without CUDA.
    """
    if not torch_has_cuda():
        return []
    with _nvml() as is_there:
        return [_gpu(index, handle) for index, handle in enumerate(_visible())] if is_there else []


def driver_version() -> str | None:
    """Version of NVIDIA's driver; None without one."""
    with _nvml() as is_there:
        return _text(pynvml.nvmlSystemGetDriverVersion()) if is_there else None


def free_bytes(device: Device) -> int:
    """Bytes of a device's memory that are free now.

    Where PyTorch already works on the GPU in this process, what lies idle in its cache is given back first.
    """
    if device.type != "cuda":
        return host_free_bytes()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        give_back_gpu()
        return int(torch.cuda.mem_get_info(device.name)[0])
    with _nvml() as is_there:
        handles = _visible() if is_there else []
        index = int(device.name.partition(":")[2] or 0)
        return int(pynvml.nvmlDeviceGetMemoryInfo(handles[index]).free) if index < len(handles) else 0


def host_bytes() -> int:
    """Host memory that this process could have at most: the machine's, or its container's."""
    return int(min(psutil.virtual_memory().total, _container_limit()))


def host_free_bytes() -> int:
    """Host memory that is free now."""
    return int(min(psutil.virtual_memory().available, _container_free()))


def this_machine(device: Device) -> Machine:
    """The budgets of a device and of the host, from what is free now or can be made so (`set_held`)."""
    free_on_host = host_free_bytes() // _processes["count"] + _held.get("cpu", 0)
    host = int(free_on_host * _HOST_SHARE)
    if device.type == "cuda":
        free = free_bytes(device) + _held.get(device.name, 0)
        return Machine("cuda", int(max(free, _free_before.get(device.name, 0)) * _DEVICE_SHARE), host)
    return Machine(device.type, host, host)


def set_processes(count: int) -> None:
    """How many processes, each with a device of its own, share the host's memory."""
    _processes["count"] = count


def set_held(held: Mapping[str, int]) -> None:
    """What a model takes that is kept for the next restoration: bytes by device, "cpu" for the host.

    Plans count them as free, for they are given up when they are needed.
    """
    _held.clear()
    _held.update(held)


def remember_free() -> None:
    """Notes what is free on the GPUs now; until `forget_free`, plans count on it.

    For a process that starts another one to restore: what the other one takes is there for the next job.
    """
    _free_before.update({device.name: free_bytes(device) for device in gpus()})


def forget_free() -> None:
    """Takes back `remember_free`."""
    _free_before.clear()


@cache
def torch_has_cuda() -> bool:
    """Whether the PyTorch that is installed was built for NVIDIA's GPUs; it is not imported for that."""
    return bool(torch_build().get("cuda"))


@cache
def torch_build() -> dict[str, Any]:
    """What PyTorch's own version file says: "__version__", "cuda" (None for a build without), ...

    Empty where it is not installed.
    """
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return {}
    return runpy.run_path(str(Path(found.origin).with_name("version.py")))


def has_mps() -> bool:
    """Whether this is a Mac with a GPU of Apple's."""
    return sys.platform == "darwin" and platform.machine() == "arm64"


@contextmanager
def _nvml() -> Iterator[bool]:
    """The management library, open; False where there is no driver."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        yield False
        return
    try:
        yield True
    finally:
        pynvml.nvmlShutdown()


def _visible() -> list[Any]:
    """Handles of the GPUs that CUDA shows to this process, in its order.

    As CUDA reads CUDA_VISIBLE_DEVICES: numbers, or names (GPU-..., MIG-..., cut short at will); the list ends
    before the first one that is not there.
    """
    wanted = os.environ.get("CUDA_VISIBLE_DEVICES")
    if wanted is None:
        return [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
    handles: list[Any] = []
    for word in (part.strip() for part in wanted.split(",")):
        handle = _handle(word)
        if handle is None:
            break
        handles.append(handle)
    return handles


def _handle(word: str) -> Any | None:
    try:
        if word.isdecimal():
            return pynvml.nvmlDeviceGetHandleByIndex(int(word))
        if word.startswith("MIG-"):
            return pynvml.nvmlDeviceGetHandleByUUID(word)
        every = (pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount()))
        named = (handle for handle in every if _text(pynvml.nvmlDeviceGetUUID(handle)).startswith(word))
        return next(named, None) if word.startswith("GPU-") else None
    except pynvml.NVMLError:
        return None


def _gpu(index: int, handle: Any) -> Device:
    major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
    label, memory = _text(pynvml.nvmlDeviceGetName(handle)), pynvml.nvmlDeviceGetMemoryInfo(handle)
    return Device(f"cuda:{index}", label, int(memory.total), (major, minor))


def _text(value: str | bytes) -> str:
    # Old versions of the library answer in bytes.
    return value.decode() if isinstance(value, bytes) else value


@cache
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def _cores() -> int:
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = os.environ.get("OMP_NUM_THREADS", "")
    return min(allowed, int(threads)) if threads.isdecimal() and int(threads) else allowed


def _container_limit() -> float:
    """Bytes that the container may take in all; infinite outside of one."""
    for limit, _, _ in _LIMITS:
        try:
            return int(Path(limit).read_text())
        except (OSError, ValueError):  # Not there, or "max".
            continue
    return float("inf")


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
