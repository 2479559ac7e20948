"""All that is decided before the first frame is read: model, sizes, format, plan, room on the disk.

Knows no torch.
"""

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from seedvr_engine.errors import MemoryBudgetError, OutputError, UsageError
from seedvr_engine.media.info import MediaInfo
from seedvr_engine.media.pictures import TIMES
from seedvr_engine.media.write import Target, choose_target
from seedvr_engine.pipeline.choice import ELEMENT_BYTES, ModelChoice, candidates, choose_precision
from seedvr_engine.pipeline.cost import stage_flops
from seedvr_engine.pipeline.disk import needed_bytes
from seedvr_engine.pipeline.machine import Device, choose_device, this_machine
from seedvr_engine.pipeline.messages import Stage
from seedvr_engine.pipeline.options import Options
from seedvr_engine.pipeline.plan import GIB, Plan, make_plan
from seedvr_engine.pipeline.size import Geometry, Size, geometry

# What a model that starts from no noise is trained for.
_ONE_STEP: dict[str, Any] = {"steps": 1, "guidance": 1.0, "rescale": 0.0, "condition_noise": 0.0}

_SHORT_NAMES = {"3b": "3B", "7b": "7B", "7b-sharp": "7B sharp"}


@dataclass(frozen=True)
class Forecast:
    """What restoring an input will be.

    frames: how many will probably come; containers only guess. flops: of one frame in each stage, on
        average.
    disk_bytes: room that is needed where the output goes. notes: what a person should know of the choices.
    """

    info: MediaInfo
    options: Options
    geometry: Geometry
    target: Target
    output: Path
    device: Device
    precision: str
    model: ModelChoice
    plan: Plan
    frames: int
    flops: Mapping[Stage, float]
    disk_bytes: int
    notes: tuple[str, ...] = ()

    @property
    def residual(self) -> bool:
        """Whether the output is the input and a difference, instead of what the decoder gives."""
        return _is_residual(self.model, self.options)

    @property
    def latents(self) -> int:
        """Latent frames of the clip, were it one shot."""
        return latents_of(self.frames, self.model)

    @property
    def plan_line(self) -> str:
        """Model, precision and memory in one line: "3B, bf16, whole shots, 11.4 GB of 24 GB"."""
        words = [_SHORT_NAMES.get(self.model.name, self.model.name), self.precision]
        words.append(self.plan.way(self.latents))
        if self.plan.device_bytes:
            # As cards are sold: 24 GB are 24 times 2**30 bytes.
            words.append(f"{self.plan.device_bytes / GIB:.1f} GB of {self.device.total_bytes / GIB:.0f} GB")
        return ", ".join(words)

    def rows(self) -> list[tuple[str, str]]:
        """Name and value of everything that a person may want to know."""
        height, width = self.geometry.output
        work = sum(self.flops.values())
        shares = ", ".join(f"{stage} {share / work:.0%}" for stage, share in self.flops.items())
        return [
            ("input", f"{self.info.path.name}, {self.info.width}x{self.info.height}, {self.info.codec}"),
            (
                "output",
                f"{self.output.name}, {width}x{height}, {self.target.codec}, {self.target.bit_depth} bit",
            ),
            ("frames", f"about {self.frames}"),
            ("model", f"{self.model.label}, {self.precision} on {self.device}"),
            ("plan", self.plan.describe(self.latents)),
            (
                "memory",
                f"{self.plan.device_bytes / 1e9:.1f} GB on {self.device}, "
                f"{self.plan.host_bytes / 1e9:.1f} GB of the host",
            ),
            (
                "arithmetic",
                f"{work / 1e12:.2f} TFLOP a frame, {work * self.frames / 1e15:.2f} PFLOP in all: {shares}",
            ),
            ("disk", f"about {self.disk_bytes / 1e9:.2f} GB while it runs"),
        ]


def foresee(
    info: MediaInfo, options: Options, output: Path | None = None, plan: Plan | None = None
) -> Forecast:
    """Decides everything for an input.

    output: a file, a folder to put it in, or None for beside the input. plan: taken instead of an own one.
    Raises UsageError for options that make no sense here, CheckpointError for a model that is not there,
    MemoryBudgetError when nothing fits.
    """
    size = Size.parse(options.size)
    shape = geometry((info.height, info.width), size, options.fit)
    target = _target(info, options, shape, output)
    device = choose_device(options.device)
    precision = choose_precision(options, device)
    frames = frames_expected(info, options)
    is_known = info.kind != "video" or info.duration_s is not None
    model, plan = _model_and_plan(
        candidates(options, device), options, shape, frames, is_known, device, precision, plan
    )
    sampled = options if model.noisy else replace(options, **_ONE_STEP)
    notes = (
        () if sampled == options else (f"Steps, guidance and noise mean nothing to the {model.name} model.",)
    )
    return Forecast(
        info,
        sampled,
        shape,
        target,
        _output(info, target, output),
        device,
        precision,
        model,
        plan,
        frames,
        _flops(model, plan, shape, sampled, frames),
        needed_bytes(target, shape, model.vae, frames, still=info.kind == "image"),
        notes,
    )


def output_path(info: MediaInfo, options: Options, output: Path | None) -> Path:
    """Where the result of an input goes; `output` as for `foresee`."""
    size = Size.parse(options.size)
    shape = geometry((info.height, info.width), size, options.fit)
    return _output(info, _target(info, options, shape, output), output)


def frames_expected(info: MediaInfo, options: Options) -> int:
    """How many frames will probably come."""
    if info.kind == "image":
        return 1
    if info.duration_s is None or (options.start is None and options.end is None and info.frames_estimate):
        return info.frames_estimate or 1
    end = min(info.duration_s, options.end if options.end is not None else info.duration_s)
    return max(1, round((end - (options.start or 0)) * float(info.rate or 25)))


def check_output(forecast: Forecast, overwrite: bool) -> None:
    """Raises UsageError where the output exists, OutputError where it cannot be written."""
    output, source = forecast.output, forecast.info.path
    if output.is_dir() and not _is_picture_folder(output):
        raise UsageError(
            f"{output} is a folder that holds other things than a restored clip's pictures.",
            remedy="Name a folder that is not there yet.",
        )
    if output.exists() and output.samefile(source):
        raise UsageError("The output would replace the input.", remedy="Choose another name with `-o`.")
    if output.exists() and not overwrite:
        raise UsageError(f"{output} exists already.", remedy="Use --overwrite, or another name with `-o`.")
    if not output.parent.is_dir():
        raise OutputError(
            f"The folder {output.parent} does not exist.",
            remedy="Make it, or choose another place with `-o`.",
        )
    if not os.access(output.parent, os.W_OK):
        raise OutputError(
            f"The folder {output.parent} cannot be written.", remedy="Choose another place with `-o`."
        )


def _is_picture_folder(folder: Path) -> bool:
    return all(path.name == TIMES or re.fullmatch(r"\d{6,}\.png", path.name) for path in folder.iterdir())


def check_disk(forecast: Forecast, kept_bytes: int) -> None:
    """Raises OutputError without room. kept_bytes: finished work of an earlier run, which needs none."""
    folder = forecast.output.parent
    free = shutil.disk_usage(folder).free
    if free + kept_bytes < forecast.disk_bytes:
        raise OutputError(
            f"About {forecast.disk_bytes / 1e9:.2f} GB are needed in {folder}, "
            f"and {free / 1e9:.2f} GB are free.",
            remedy="Free some space, or choose another place with `-o`.",
        )


def _target(info: MediaInfo, options: Options, shape: Geometry, output: Path | None) -> Target:
    named = None if output is None or _is_folder(info, options, output) else output
    return choose_target(
        info, shape.output, named, options.container, options.codec, options.quality, options.frame_rate
    )


def _is_folder(info: MediaInfo, options: Options, output: Path) -> bool:
    # A folder of pictures is an output of its own; any other existing folder is a place to put the output in.
    return output.is_dir() and (options.container != "png" or info.kind == "image")


def _output(info: MediaInfo, target: Target, output: Path | None) -> Path:
    if output is not None and not output.is_dir():
        return output
    name = info.path.name if info.kind == "sequence" else info.path.stem
    suffix = "" if target.container == "png" and info.kind != "image" else target.suffix
    if output is not None and suffix == "" and info.kind != "image":
        return output
    return (output or info.path.parent) / f"{name}_restored{suffix}"


def _model_and_plan(
    choices: Sequence[ModelChoice],
    options: Options,
    shape: Geometry,
    frames: int,
    is_known: bool,
    device: Device,
    precision: str,
    plan: Plan | None,
) -> tuple[ModelChoice, Plan]:
    """The first model that fits this machine's memory, and how. Raises MemoryBudgetError when none does."""
    if plan is not None:
        return choices[0], plan
    refused: MemoryBudgetError | None = None
    for choice in choices:
        try:
            made = make_plan(
                choice.dit,
                choice.vae,
                height=shape.padded[0],
                width=shape.padded[1],
                shot_frames=_longest_pass(choice, frames if is_known else None),
                element_bytes=ELEMENT_BYTES[precision],
                machine=this_machine(device),
                text_tokens=choice.text_tokens,
                residual=_is_residual(choice, options),
            )
        except MemoryBudgetError as error:
            refused = refused or error
        else:
            limits = [limit for limit in (made.stretch_latents, choice.pass_latents) if limit is not None]
            return choice, replace(made, stretch_latents=min(limits, default=None))
    assert refused is not None
    raise refused


def _flops(
    model: ModelChoice, plan: Plan, shape: Geometry, options: Options, frames: int
) -> dict[Stage, float]:
    """FLOPs of a frame in each stage, on average."""
    flops = stage_flops(
        model.dit,
        model.vae,
        *shape.padded,
        frames=frames,
        steps=options.steps,
        guided=options.guidance != 1.0,
        residual=_is_residual(model, options),
    )
    latents, longest, overlap = latents_of(frames, model), plan.stretch_latents, plan.overlap_latents
    if longest is not None and latents > longest:
        # What neighbouring stretches share is computed twice.
        cuts = -(-(latents - overlap) // (longest - overlap)) - 1
        flops["restore"] *= 1 + cuts * overlap / latents
    return flops


def latents_of(frames: int, model: ModelChoice) -> int:
    """Latent frames of a shot of so many frames."""
    return 1 + -(-(frames - 1) // model.vae.time_factor)


def _is_residual(choice: ModelChoice, options: Options) -> bool:
    return (choice.detail if options.detail == "auto" else options.detail) == "residual"


def _longest_pass(choice: ModelChoice, shot_frames: int | None) -> int | None:
    """Frames of the longest pass to plan for: of the longest shot, or of what the model takes at once."""
    if choice.pass_latents is None:
        return shot_frames
    most = 1 + (choice.pass_latents - 1) * choice.vae.time_factor
    return most if shot_frames is None else min(shot_frames, most)
