"""GPUs are told as CUDA would number them, by a stand-in for NVIDIA's library."""

from types import SimpleNamespace

import pytest

from seedvr_engine.pipeline import machine
from seedvr_engine.pipeline.machine import choose_device, free_bytes, gpus

CARDS = {
    "GPU-aaaa-1": ("NVIDIA GeForce RTX 4090", (8, 9), 24),
    "GPU-bbbb-2": ("Tesla T4", (7, 5), 15),
    "GPU-bbbb-3": ("NVIDIA H100 80GB HBM3", (9, 0), 80),
}


class NVMLError(Exception):
    """What the library raises."""


def by_index(index: int) -> str:
    if index >= len(CARDS):
        raise NVMLError
    return list(CARDS)[index]


def memory(handle: str) -> SimpleNamespace:
    return SimpleNamespace(total=CARDS[handle][2] * 2**30, free=CARDS[handle][2] * 2**29)


# The part of pynvml that is used, over three cards; a handle is a card's UUID.
LIBRARY = SimpleNamespace(
    NVMLError=NVMLError,
    nvmlInit=lambda: None,
    nvmlShutdown=lambda: None,
    nvmlDeviceGetCount=lambda: len(CARDS),
    nvmlDeviceGetHandleByIndex=by_index,
    nvmlDeviceGetUUID=lambda handle: handle,
    nvmlDeviceGetName=lambda handle: CARDS[handle][0],
    nvmlDeviceGetCudaComputeCapability=lambda handle: CARDS[handle][1],
    nvmlDeviceGetMemoryInfo=memory,
)


@pytest.fixture
def three_cards(monkeypatch):
    monkeypatch.setattr(machine, "pynvml", LIBRARY)
    monkeypatch.setattr(machine, "torch_has_cuda", lambda: True)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.usefixtures("three_cards")
@pytest.mark.parametrize(
    ("visible", "labels"),
    [
        (None, ["RTX 4090", "T4", "H100"]),
        ("", []),
        ("-1", []),
        ("2,0", ["H100", "RTX 4090"]),
        ("1, 7, 0", ["T4"]),
        ("GPU-bbbb-3", ["H100"]),
        ("GPU-aa,1", ["RTX 4090", "T4"]),
    ],
)
def test_only_the_gpus_that_cuda_shows_are_told_in_its_order(visible, labels, monkeypatch):
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    found = gpus()
    assert [device.name for device in found] == [f"cuda:{index}" for index in range(len(labels))]
    assert all(label in device.label for label, device in zip(labels, found, strict=True))


@pytest.mark.usefixtures("three_cards")
def test_auto_takes_the_first_visible_gpu_and_knows_its_memory(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,1")
    device = choose_device("auto")
    assert (device.name, device.has_bf16) == ("cuda:0", True)
    assert free_bytes(device) == 40 * 2**30
    assert choose_device("cuda:1").has_bf16 is False


@pytest.mark.usefixtures("three_cards")
def test_what_a_kept_model_or_a_worker_of_ours_takes_counts_as_free(monkeypatch):
    device = choose_device("cuda:2")
    free = machine.this_machine(device).device_bytes
    try:
        machine.set_held({"cuda:2": 7 * 2**30})
        assert machine.this_machine(device).device_bytes - free == pytest.approx(0.92 * 7 * 2**30)
        machine.set_held({})
        machine.remember_free()
        monkeypatch.setattr(LIBRARY, "nvmlDeviceGetMemoryInfo", lambda handle: SimpleNamespace(free=0))
        assert machine.this_machine(device).device_bytes == free
    finally:
        machine.set_held({})
        machine.forget_free()
    assert machine.this_machine(device).device_bytes == 0


def test_a_pytorch_without_cuda_has_no_gpu_whatever_the_driver_says(monkeypatch):
    monkeypatch.setattr(machine, "pynvml", LIBRARY)
    monkeypatch.setattr(machine, "torch_has_cuda", lambda: False)
    assert gpus() == []
    assert choose_device("auto").type == "cpu"
