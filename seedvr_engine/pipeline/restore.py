"""Restores one input: frames -> shots -> autoencoder -> transformer -> autoencoder -> colour -> file.

Shot after shot, and within a shot stage after stage, so that only one network works at a time and only
latents wait on disk. Whatever is finished is kept (`pipeline.work`), and the same call goes on from there.
"""

import gc
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import torch

from seedvr_engine import __version__
from seedvr_engine.errors import InputError, MemoryBudgetError
from seedvr_engine.media.info import MediaInfo
from seedvr_engine.media.probe import probe
from seedvr_engine.media.write import join_segments
from seedvr_engine.pipeline import stages
from seedvr_engine.pipeline.estimate import Rates, estimate
from seedvr_engine.pipeline.forecast import Forecast, check_disk, check_output, foresee
from seedvr_engine.pipeline.messages import Pair, Progress, Result
from seedvr_engine.pipeline.model import DTYPES, Model, blocks_to_host, load_model
from seedvr_engine.pipeline.options import Options
from seedvr_engine.pipeline.plan import Plan, smaller
from seedvr_engine.pipeline.progress import Meter
from seedvr_engine.pipeline.shots import Originals
from seedvr_engine.pipeline.stages import Job, Viewer
from seedvr_engine.pipeline.work import Shot, Work, work_key


def restore(
    input: Path,
    output: Path | None,
    options: Options | None = None,
    *,
    plan: Plan | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_picture: Callable[[Pair], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    overwrite: bool = False,
    info: MediaInfo | None = None,
    rates: Rates | None = None,
) -> Result:
    """Restores a video or a picture.

    output: where the result belongs; `IN_restored.EXT` beside the input when not given. An existing one is
    only replaced with `overwrite`. plan: how memory is used; chosen for this machine when not given.
    on_progress: told a few times a second, now and then by another thread. on_picture: shown the first frame
    that is done, then about one a second. cancelled: asked often; the restoration stops when it says so.
    info: what is known of the input already (a sequence of pictures). rates: what earlier runs of the kind
    were measured to do, so that the time left is true.
    Raises Cancelled, and the other errors of `seedvr_engine.errors`; finished work is kept in every case.
    """
    forecast = foresee(info or probe(input), options or Options(), output, plan)
    check_output(forecast, overwrite)
    device = torch.device(forecast.device.name)
    meter = Meter(estimate(forecast, rates), device, on_progress, cancelled)
    with closing(Work(forecast.output, _key(forecast))) as work, meter.ticking():
        check_disk(forecast, work.bytes())
        job = _prepare(forecast, work, meter, on_picture)
        try:
            with torch.inference_mode():
                _restore_shots(job)
        except BaseException:
            work.remove_if_empty()
            raise
        finally:
            _close(job)
        return _finish(job)


def _prepare(forecast: Forecast, work: Work, meter: Meter, on_picture: Callable[[Pair], None] | None) -> Job:
    """Loads the model and says what will be done."""
    info, options = forecast.info, forecast.options
    way = forecast.plan.describe(forecast.latents)
    meter.note(f"Model: {forecast.model.label}, {forecast.precision}. {way}")
    for sentence in (*forecast.notes, *info.warnings):
        meter.note(sentence)
    model, plan = _load(forecast, meter)
    return Job(
        info,
        options,
        forecast.geometry,
        forecast.target,
        forecast.output,
        model,
        plan,
        work,
        meter,
        residual=forecast.residual,
        originals=Originals(info),
        viewer=Viewer(on_picture),
    )


def _load(forecast: Forecast, meter: Meter) -> tuple[Model, Plan]:
    """The model in memory, and the plan; the weights wait on the host where the device has no room."""
    choice, precision, plan = forecast.model, forecast.precision, forecast.plan
    device = torch.device(forecast.device.name)
    try:
        on_host = plan.weight_place == "host"
        return load_model(choice, device, precision, weights_on_host=on_host), plan
    except MemoryBudgetError:
        if plan.weight_place == "host":
            raise
    # Outside of the handler, for the traceback would keep what filled the memory alive.
    _clear(device)
    plan = replace(plan, weight_place="host", device_bytes=0, host_bytes=0)
    meter.note(f"The weights do not fit; going on with less: {plan.describe()}.")
    return load_model(choice, device, precision, weights_on_host=True), plan


def _key(forecast: Forecast) -> str:
    facts = (
        forecast.options.as_dict(),
        str(forecast.info.rate),
        forecast.model.fingerprint,
        forecast.precision,
    )
    return work_key(forecast.info.path, *facts, __version__)


def _restore_shots(job: Job) -> None:
    """Takes shot after shot through the stages."""
    work, index = job.work, 0
    while True:
        if index == len(work.shots) and (work.ended or not _next_shot(job)):
            return
        shot = work.shots[index]
        if shot.frames is None:
            job.meter.enter("encode", index)
            _sparing(job, stages.encode_shot, index)
            work.ended = job.stream is not None and job.stream.next_frame is None
            work.save()
            _correct_total(job)
        else:
            job.meter.credit("encode", index, shot.frames)
        if all(segment.path.exists() for segment in stages.segments_of(job, index)):
            job.meter.credit("restore", index, shot.frames or 0)
            job.meter.credit("decode", index, shot.frames or 0)
        else:
            job.meter.enter("restore", index)
            _sparing(job, stages.restore_shot, index)
            job.meter.enter("decode", index)
            _sparing(job, stages.decode_shot, index)
        work.forget_latents(index)
        index += 1


def _next_shot(job: Job) -> bool:
    """Adds the shot that begins with the next frame; False at the end. Raises InputError without a frame."""
    work = job.work
    if job.stream is None:
        last = work.shots[-1] if work.shots else None
        first = last.first + (last.frames or 0) if last else stages.beginning(job)
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
    while not _fits(job, stage, index):
        # Outside of the handler, for the traceback would keep what filled the memory alive.
        _use_less(job)


def _fits(job: Job, stage: Callable[[Job, int], None], index: int) -> bool:
    """Runs a stage; False where memory ran out."""
    try:
        stage(job, index)
    except (torch.OutOfMemoryError, MemoryError):
        return False
    except RuntimeError as error:
        # What PyTorch says where the host's memory, not a GPU's, is full.
        if "DefaultCPUAllocator" not in str(error):
            raise
        return False
    return True


def _use_less(job: Job) -> None:
    plan = smaller(job.plan)
    if plan is None:
        raise MemoryBudgetError(
            f"{job.model.choice.label} does not fit into the memory of {job.model.device} at this size.",
            remedy="Choose a smaller size or model, or free the GPU of other programs.",
        )
    _close(job)
    if plan.weight_place != job.plan.weight_place:
        blocks_to_host(job.model.dit)
    job.plan = plan
    _clear(job.model.device)
    job.meter.note(f"Memory ran out; going on with less: {plan.describe()}.")


def _comment(job: Job) -> str:
    """The file's own comment, and what restored it."""
    made = f"Restored with {job.model.choice.label} by seedvr-engine {__version__}"
    own = job.info.metadata.get("comment", "")
    return f"{own}; {made}" if own else made


def _name_of(dtype: torch.dtype) -> str:
    return next(name for name, known in DTYPES.items() if known == dtype)


def _clear(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _close(job: Job) -> None:
    job.originals.close()
    if job.stream is not None:
        job.warnings += job.stream.warnings
        job.stream.close()
        job.stream = None


def _finish(job: Job) -> Result:
    """Joins the segments, removes the work, and tells what came out."""
    warnings = [*job.info.warnings, *job.warnings]
    job.meter.enter("join", len(job.work.shots) - 1)
    frames = sum(shot.frames or 0 for shot in job.work.shots)
    if job.info.kind != "image":
        start, end = stages.span(job)
        warnings += join_segments(
            job.work.segments(),
            job.info,
            job.target,
            job.output,
            start=start,
            stop=end,
            metadata={"comment": _comment(job)},
        )
    job.work.remove()
    job.meter.frames_total = frames
    job.meter.finish()
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
        stage_frames=job.meter.stage_frames,
    )
