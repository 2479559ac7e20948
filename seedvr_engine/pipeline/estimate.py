"""How long a restoration will take: its arithmetic, and what the device was seen to do.

Knows no torch. Before anything was measured, a table of devices serves; every finished run corrects it.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from seedvr_engine.pipeline.choice import ELEMENT_BYTES, PREVIEW, ModelChoice
from seedvr_engine.pipeline.cost import dit_weights, vae_weights
from seedvr_engine.pipeline.forecast import Forecast
from seedvr_engine.pipeline.machine import Device
from seedvr_engine.pipeline.messages import Result, Stage

COMPUTING: tuple[Stage, ...] = ("encode", "restore", "decode")
STAGES: tuple[Stage, ...] = ("start", *COMPUTING, "join")
# How much the runs before count when a new one comes: recent ones tell more of what the machine does now.
_OLD_SHARE = 0.5
# Too little to learn from: a stage that was done in less, or on less than a frame.
_LEAST_S, _LEAST_FRAMES = 0.005, 1.0

# Dense products of 16-bit numbers with 32-bit sums, in TFLOP/s, as the makers state them.
_PEAK_TFLOPS = {
    "GB200|B200|GB300|B300": 2250,
    "H100 PCIe": 756,
    "H100|H200|H800|GH200": 989,
    "H20": 148,
    "A100|A800": 312,
    "L40S": 362,
    r"RTX PRO 6000": 500,
    r"RTX 6000 Ada": 364,
    r"RTX 5000 Ada": 261,
    r"RTX 4500 Ada": 158,
    r"RTX 4000.* Ada": 107,
    "L40": 181,
    "L4": 121,
    "A40": 150,
    r"RTX A6000": 155,
    r"RTX A5000": 111,
    r"RTX A4000": 77,
    "A10": 125,
    "A30": 165,
    "V100": 112,
    "T4": 65,
    "RTX 5090": 210,
    "RTX 5080": 113,
    "RTX 5070 Ti": 88,
    "RTX 5070": 62,
    "RTX 4090": 165,
    "RTX 4080": 98,
    "RTX 4070 Ti": 80,
    "RTX 4070": 58,
    "RTX 4060": 30,
    "RTX 3090": 71,
    "RTX 3080": 60,
    "RTX 3070": 40,
    "RTX 3060": 25,
    "RTX 2080 Ti": 54,
    "RTX 20": 26,
}
# Of any other GPU, by CUDA's major version.
_UNKNOWN_TFLOPS = {7: 50.0, 8: 60.0, 9: 400.0, 10: 800.0, 12: 80.0}
# Share of the peak that a stage reaches: products of matrices come close, convolutions wait for memory. The
# preview's layers are too thin to fill a GPU. Nobody has measured these yet; the first finished run does.
_GPU_SHARE: Mapping[Stage, float] = {"encode": 0.15, "restore": 0.4, "decode": 0.15}
_THIN_SHARE = 0.02
# GPUs compute on float32 at about this share of their 16-bit peak.
_FLOAT32_SHARE = 0.1
# FLOP/s of one core in float32: benchmarks/engine.py on a Zen 3. Without instructions for it, 16 bits crawl.
_CORE_FLOPS: Mapping[Stage, float] = {"encode": 30e9, "restore": 25e9, "decode": 40e9}
_CPU_SHARE = {"fp32": 1.0, "bf16": 0.1, "fp16": 0.05}
_MPS_FLOPS = 3e12
# Reading weights from a disk; starting up beside that; joining.
_READ_BYTES_PER_S, _START_S, _JOIN_S = 1e9, 0.5, 0.002


@dataclass(frozen=True)
class Rate:
    """What was seen: an amount of work, and the seconds that it took."""

    work: float
    seconds: float

    @property
    def per_s(self) -> float:
        """Work done in a second."""
        return self.work / self.seconds

    def followed_by(self, new: "Rate") -> "Rate":
        """The running sum, in which the past counts half; a long run counts more than a short one."""
        return Rate(_OLD_SHARE * self.work + new.work, _OLD_SHARE * self.seconds + new.seconds)


@dataclass(frozen=True)
class Rates:
    """What a device does with a model in one precision.

    stages: only those that were seen. "encode", "restore", "decode": work in FLOPs; "start": in starts;
        "join": in frames.
    runs: finished runs behind the numbers; 0 for a guess.
    """

    stages: Mapping[Stage, Rate]
    runs: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a store."""
        return asdict(self)

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> "Rates":
        """From what `as_dict` gave. Raises KeyError or TypeError for anything else."""
        stages = {stage: Rate(**values["stages"][stage]) for stage in STAGES if stage in values["stages"]}
        return Rates(stages, int(values["runs"]))


@dataclass(frozen=True)
class Estimate:
    """What a restoration will take.

    stage_s: seconds of every stage. frame_s: seconds that a frame takes in the stages that compute.
    is_guess: nothing like it has run on this device, so that it may be wrong several times over.
    """

    forecast: Forecast
    stage_s: Mapping[Stage, float]
    is_guess: bool
    frame_s: Mapping[Stage, float] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Of the whole restoration."""
        return sum(self.stage_s.values())

    @property
    def device_bytes(self) -> int:
        """Memory of the device at its peak."""
        return self.forecast.plan.device_bytes

    @property
    def host_bytes(self) -> int:
        """Host memory at its peak."""
        return self.forecast.plan.host_bytes

    @property
    def disk_bytes(self) -> int:
        """Room on the disk while it runs, the result included."""
        return self.forecast.disk_bytes

    @property
    def plan_line(self) -> str:
        """ "3B, bf16, whole shots, 11.4 GB of 24 GB"."""
        return self.forecast.plan_line

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for messages between processes and over HTTP."""
        forecast, (height, width) = self.forecast, self.forecast.geometry.output
        return {
            "seconds": self.seconds,
            "stage_s": dict(self.stage_s),
            "is_guess": self.is_guess,
            "device": forecast.device.label,
            "device_bytes": self.device_bytes,
            "device_total_bytes": forecast.device.total_bytes,
            "host_bytes": self.host_bytes,
            "disk_bytes": self.disk_bytes,
            "width": width,
            "height": height,
            "frames": forecast.frames,
            "container": forecast.target.container,
            "codec": forecast.target.codec,
            "bit_depth": forecast.target.bit_depth,
            "model": forecast.model.name,
            "model_label": forecast.model.label,
            "precision": forecast.precision,
            "plan": self.plan_line,
            "notes": list(forecast.notes),
        }


def kind_of(forecast: Forecast) -> tuple[str, str, str]:
    """Device, model and precision: runs that share these share their rates."""
    device = forecast.device
    cores = f", {device.cores} cores" if device.cores else ""
    return device.label + cores, forecast.model.name, forecast.precision


def estimate(forecast: Forecast, rates: Rates | None = None) -> Estimate:
    """What a restoration will take. rates: of its kind, as far as known; the table fills the gaps."""
    prior = prior_rates(forecast.device, forecast.model, forecast.precision)
    known = rates or prior

    def seconds(stage: Stage, work: float) -> float:
        return work / (known.stages.get(stage) or prior.stages[stage]).per_s

    frame_s: dict[Stage, float] = {stage: seconds(stage, forecast.flops[stage]) for stage in COMPUTING}
    joined = 0 if forecast.info.kind == "image" else forecast.frames
    stage_s: dict[Stage, float] = {
        "start": seconds("start", 1),
        **{stage: each * forecast.frames for stage, each in frame_s.items()},
        "join": seconds("join", joined),
    }
    return Estimate(forecast, stage_s, is_guess=known.runs == 0, frame_s=frame_s)


def measured(result: Result, forecast: Forecast) -> Rates:
    """What a finished run tells of its device.

    Only what this very run did counts, not what it found done by an earlier one.
    """
    work: dict[Stage, float] = {"start": 1.0, "join": 0.0 if forecast.info.kind == "image" else result.frames}
    for stage in COMPUTING:
        frames = result.stage_frames.get(stage, 0.0)
        work[stage] = frames * forecast.flops[stage] if frames >= _LEAST_FRAMES else 0.0
    seconds = result.stage_s
    # A model that waits in memory starts in no time, and that is what the next one will take.
    least = {stage: _LEAST_S if stage in COMPUTING else 1e-6 for stage in STAGES}
    enough = [stage for stage in STAGES if work[stage] and seconds.get(stage, 0.0) >= least[stage]]
    return Rates({stage: Rate(work[stage], seconds[stage]) for stage in enough}, runs=1)


def blend(old: Rates | None, new: Rates) -> Rates:
    """The running average. old: what was known before, if anything; a guess counts for nothing."""
    if old is None or old.runs == 0:
        return new
    both = {
        stage: old.stages[stage].followed_by(rate) if stage in old.stages else rate
        for stage, rate in new.stages.items()
    }
    return Rates({**old.stages, **both}, runs=old.runs + new.runs)


def prior_rates(device: Device, model: ModelChoice, precision: str) -> Rates:
    """A guess from the device's name alone, good to a factor of a few."""
    start = _START_S
    if model.name != PREVIEW:
        start += _weights_bytes(model, precision) / _READ_BYTES_PER_S
    flops = {stage: Rate(_prior_flops(device, model, precision, stage), 1.0) for stage in COMPUTING}
    return Rates({"start": Rate(1, start), **flops, "join": Rate(1, _JOIN_S)})


def _prior_flops(device: Device, model: ModelChoice, precision: str, stage: Stage) -> float:
    if device.type == "cpu":
        return _CORE_FLOPS[stage] * max(1, device.cores) ** 0.9 * _CPU_SHARE[precision]
    if device.type != "cuda":
        return _MPS_FLOPS
    share = _THIN_SHARE if model.name == PREVIEW else _GPU_SHARE[stage]
    return peak_flops(device) * share * (_FLOAT32_SHARE if precision == "fp32" else 1.0)


def peak_flops(device: Device) -> float:
    """What the maker promises of a GPU for products of 16-bit numbers, FLOP/s; a guess for unknown ones."""
    for pattern, tera in _PEAK_TFLOPS.items():
        if re.search(rf"(?<![A-Z0-9])({pattern})(?![0-9])", device.label):
            return tera * 1e12
    return _UNKNOWN_TFLOPS.get((device.capability or (8, 0))[0], 60.0) * 1e12


def _weights_bytes(model: ModelChoice, precision: str) -> int:
    return (dit_weights(model.dit) + vae_weights(model.vae)) * ELEMENT_BYTES[precision]
