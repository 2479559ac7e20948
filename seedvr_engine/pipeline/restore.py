"""Restores one input: frames -> shots -> autoencoder -> transformer -> autoencoder -> colour -> file.

Shot after shot, and within a shot stage after stage, so that only one network works at a time and only
latents wait on disk. Whatever is finished is kept (`pipeline.work`), and the same call goes on from there.
"""

import gc
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import torch

from seedvr_engine import __version__
from seedvr_engine.errors import InputError, MemoryBudgetError, OutputError, UsageError
from seedvr_engine.media.info import MediaInfo
from seedvr_engine.media.opening import output_errors
from seedvr_engine.media.probe import probe
from seedvr_engine.media.write import Target, choose_target, join_segments
from seedvr_engine.pipeline import stages
from seedvr_engine.pipeline.cost import stage_flops
from seedvr_engine.pipeline.disk import needed_bytes
from seedvr_engine.pipeline.machine import this_machine
from seedvr_engine.pipeline.messages import Progress, Result
from seedvr_engine.pipeline.model import (
    DTYPES,
    ModelChoice,
    candidates,
    choose_device,
    choose_precision,
    load_model,
)
from seedvr_engine.pipeline.options import DEFAULT_SIZE, Options
from seedvr_engine.pipeline.plan import Plan, make_plan, smaller
from seedvr_engine.pipeline.progress import Meter
from seedvr_engine.pipeline.size import Geometry, Size, geometry
from seedvr_engine.pipeline.stages import Job
from seedvr_engine.pipeline.work import Shot, Work, work_key


def restore(
    input: Path,
    output: Path | None,
    options: Options | None = None,
    *,
    plan: Plan | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    overwrite: bool = False,
    info: MediaInfo | None = None,
) -> Result:
    """Restores a video or a picture.

    output: where the result belongs; `IN_restored.EXT` beside the input when not given. An existing one is
    only replaced with `overwrite`. plan: how memory is used; chosen for this machine when not given.
    on_progress: told a few times a second. cancelled: asked often; the restoration stops when it says so.
    info: what is known of the input already (a sequence of pictures).
    Raises Cancelled, and the other errors of `seedvr_engine.errors`; finished work is kept in every case.
    """
    options = options or Options()
    info = info or probe(input)
    shape = geometry(
        (info.height, info.width),
        Size.parse(options.size),
        options.fit,
        limited=options.size == DEFAULT_SIZE,
    )
    target = choose_target(info, shape.output, output, options.container, options.codec, options.quality)
    output = output or default_output(info, target)
    _check_output(info.path, output, overwrite)
    device = choose_device(options.device)
    precision = choose_precision(options, device)
    choice, plan = choose_plan(candidates(options, device), options, shape, info, device, precision, plan)
    key = work_key(info.path, options.as_dict(), str(info.rate), choice.fingerprint, precision, __version__)
    work = Work(output, key)
    _check_disk(info, target, shape, choice, options, output, work)

    flops = stage_flops(choice.dit, choice.vae, *shape.padded, options.steps, options.guidance != 1.0)
    meter = Meter(flops, frames_expected(info, options), device, on_progress, cancelled)
    meter.note(f"Model: {choice.label}, {precision}. {plan.describe()}.")
    for warning in info.warnings:
        meter.note(warning)
    model = load_model(choice, device, precision, weights_on_host=plan.weight_place == "host")
    residual = (choice.detail if options.detail == "auto" else options.detail) == "residual"
    job = Job(info, options, shape, target, output, model, plan, work, meter, residual)
    try:
        with torch.inference_mode():
            _restore_shots(job)
    finally:
        warnings = job.stream.warnings if job.stream is not None else []
        _close(job)
    return _finish(job, [*info.warnings, *warnings])


def default_output(info: MediaInfo, target: Target) -> Path:
    """`IN_restored.EXT` beside the input."""
    stem = info.path.stem if info.kind != "sequence" else info.path.name
    folder = target.container == "png" and info.kind != "image"
    return info.path.with_name(f"{stem}_restored" + ("" if folder else target.suffix))


def frames_expected(info: MediaInfo, options: Options) -> int:
    """How many frames will probably come; containers only guess."""
    if info.kind == "image":
        return 1
    rate, duration = float(info.rate or 25), info.duration_s
    if duration is None:
        return info.frames_estimate or 1
    if options.start is None and options.end is None and info.frames_estimate:
        return info.frames_estimate
    end = min(duration, options.end if options.end is not None else duration)
    return max(1, round((end - (options.start or 0)) * rate))


def choose_plan(
    choices: list[ModelChoice],
    options: Options,
    shape: Geometry,
    info: MediaInfo,
    device: torch.device,
    precision: str,
    plan: Plan | None,
) -> tuple[ModelChoice, Plan]:
    """The first model that fits this machine's memory, and how. Raises MemoryBudgetError when none does."""
    if plan is not None:
        return choices[0], plan
    refused: MemoryBudgetError | None = None
    for choice in choices:
        try:
            return choice, make_plan(
                choice.dit,
                choice.vae,
                height=shape.padded[0],
                width=shape.padded[1],
                shot_frames=frames_expected(info, options),
                element_bytes=DTYPES[precision].itemsize,
                machine=this_machine(device),
                text_tokens=choice.text_tokens,
            )
        except MemoryBudgetError as error:
            refused = refused or error
    assert refused is not None
    raise refused


def _check_output(source: Path, output: Path, overwrite: bool) -> None:
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


def _check_disk(
    info: MediaInfo,
    target: Target,
    shape: Geometry,
    choice: ModelChoice,
    options: Options,
    output: Path,
    work: Work,
) -> None:
    with output_errors(output):
        free = shutil.disk_usage(work.folder).free
        kept = sum(path.stat().st_size for path in work.folder.rglob("*") if path.is_file())
    needed = needed_bytes(
        target, shape, choice.vae, frames_expected(info, options), still=info.kind == "image"
    )
    if free + kept < needed:
        raise OutputError(
            f"About {needed / 1e9:.1f} GB are needed in {output.parent}, and {free / 1e9:.1f} GB are free.",
            remedy="Free some space, or choose another place with `-o`.",
        )


def _restore_shots(job: Job) -> None:
    """Takes shot after shot through the stages."""
    work, index = job.work, 0
    while True:
        if index == len(work.shots):
            if work.ended or not _next_shot(job):
                return
        shot = work.shots[index]
        if shot.frames is None:
            job.meter.enter("encoding", index)
            _sparing(job, stages.encode_shot, index)
            work.ended = job.stream is not None and job.stream.next_frame is None
            work.save()
            _correct_total(job)
        else:
            job.meter.credit("encoding", shot.frames)
        if all(segment.path.exists() for segment in stages.segments_of(job, index)):
            job.meter.credit("restoring", shot.frames or 0)
            job.meter.credit("decoding", shot.frames or 0)
        else:
            job.meter.enter("restoring", index)
            _sparing(job, stages.restore_shot, index)
            job.meter.enter("decoding", index)
            _sparing(job, stages.decode_shot, index)
        work.forget_latents(index)
        index += 1


def _next_shot(job: Job) -> bool:
    """Adds the shot that begins with the next frame; False at the end. Raises InputError where no frame came."""
    work = job.work
    if job.stream is None:
        last = work.shots[-1] if work.shots else None
        first = last.first + (last.frames or 0) if last else 0
        job.stream = stages.open_stream(job, first, known=0)
    frame = job.stream.next_frame
    if frame is None:
        if not work.shots:
            raise InputError(
                f"{job.info.path.name} has no frame from {job.options.start or 0} s on.",
                remedy="Choose an earlier start.",
            )
        work.ended = True
        work.save()
        return False
    work.shots.append(Shot(frame.number))
    work.save()
    return True


def _correct_total(job: Job) -> None:
    """Once the end has been seen, the number of frames is known."""
    known = sum(shot.frames or 0 for shot in job.work.shots)
    job.meter.frames_total = known if job.work.ended else max(known + 1, job.meter.frames_total)


def _sparing(job: Job, stage: Callable[[Job, int], None], index: int) -> None:
    """Runs a stage; where memory runs out, goes on from what is kept with a plan that needs less."""
    while True:
        try:
            stage(job, index)
        except torch.OutOfMemoryError as error:
            _use_less(job, error)
        else:
            return


def _use_less(job: Job, error: torch.OutOfMemoryError) -> None:
    plan = smaller(job.plan)
    if plan is None:
        raise MemoryBudgetError(
            f"{job.model.choice.label} does not fit into the memory of {job.model.device} at this size.",
            remedy="Choose a smaller size or model, or free the GPU of other programs.",
        ) from error
    _close(job)
    if plan.weight_place != job.plan.weight_place:
        choice, precision = job.model.choice, _name_of(job.model.dtype)
        job.model = replace(job.model, dit=torch.nn.Identity(), vae=torch.nn.Identity())
        _clear(job.model.device)
        job.model = load_model(
            choice, job.model.device, precision, weights_on_host=plan.weight_place == "host"
        )
    job.plan = plan
    _clear(job.model.device)
    job.meter.note(f"Memory ran out; going on with less: {plan.describe()}.")


def _name_of(dtype: torch.dtype) -> str:
    return next(name for name, known in DTYPES.items() if known == dtype)


def _clear(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _close(job: Job) -> None:
    if job.stream is not None:
        job.stream.close()
        job.stream = None


def _finish(job: Job, warnings: list[str]) -> Result:
    """Joins the segments, removes the work, and tells what came out."""
    job.meter.enter("joining", len(job.work.shots) - 1)
    frames = sum(shot.frames or 0 for shot in job.work.shots)
    if job.info.kind != "image":
        start, end = (Fraction(x) if x is not None else None for x in (job.options.start, job.options.end))
        warnings += join_segments(
            job.work.segments(),
            job.info,
            job.target,
            job.output,
            start=start,
            stop=end,
            metadata={"comment": f"Restored with {job.model.choice.label} by seedvr-engine {__version__}"},
        )
    job.work.remove()
    job.meter.frames_total = frames
    job.meter.enter("joining", len(job.work.shots) - 1)
    height, width = job.geometry.output
    return Result(
        output=job.output,
        width=width,
        height=height,
        frames=frames,
        shots=tuple(shot.first for shot in job.work.shots),
        model=job.model.choice.name,
        precision=_name_of(job.model.dtype),
        plan=job.plan.describe(),
        elapsed_s=job.meter.elapsed_s,
        warnings=tuple(dict.fromkeys(warnings)),
        stage_s=job.meter.stage_s,
    )
