"""Restores one input: frames -> shots -> autoencoder -> transformer -> autoencoder -> colour -> file.

Shot after shot, and within a shot stage after stage, so that only one network works at a time and only
latents wait on disk. Whatever is finished is kept (`pipeline.work`), and the same call goes on from there.
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import torch

from seedvr_engine import __version__
from seedvr_engine.errors import Cancelled, InputError, MemoryBudgetError
from seedvr_engine.media.info import MediaInfo
from seedvr_engine.media.probe import probe
from seedvr_engine.media.write import join_segments
from seedvr_engine.pipeline.counts import latents_of
from seedvr_engine.pipeline.estimate import Rates, estimate
from seedvr_engine.pipeline.forecast import Forecast, check_disk, check_output, foresee
from seedvr_engine.pipeline.heap import give_back_gpu
from seedvr_engine.pipeline.messages import Pair, Progress, Result
from seedvr_engine.pipeline.model import DTYPES, Model, blocks_to_host, keep, take
from seedvr_engine.pipeline.options import Options
from seedvr_engine.pipeline.plan import Plan, smaller
from seedvr_engine.pipeline.progress import Meter
from seedvr_engine.pipeline.shots import Originals
from seedvr_engine.pipeline.stages.decode import decode_shot
from seedvr_engine.pipeline.stages.encode import encode_shot, open_stream
from seedvr_engine.pipeline.stages.restore import restore_shot
from seedvr_engine.pipeline.task import Task, Viewer
from seedvr_engine.pipeline.work import Shot, Work, other_work, work_key


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
    keep_model: bool = False,
) -> Result:
    """Restores a video or a picture.

    output: where the result belongs; `IN_restored.EXT` beside the input when not given. An existing one is
    only replaced with `overwrite`. plan: how memory is used; chosen for this machine when not given.
    on_progress: told a few times a second, now and then by another thread. on_picture: shown the first frame
    that is done, then about one a second. cancelled: asked often; the restoration stops when it says so.
    info: what is known of the input already (a sequence of pictures). rates: what earlier runs of the kind
    were measured to do, so that the time left is true. keep_model: the model stays in memory for the next
    restoration of this process.
    Raises Cancelled, and the other errors of `seedvr_engine.errors`; finished work is kept in every case.
    """
    forecast = foresee(info or probe(input), options or Options(), output, plan)
    check_output(forecast, overwrite)
    device = torch.device(forecast.device.name)
    meter = Meter(estimate(forecast, rates), device, on_progress, cancelled)
    with closing(Work(forecast.output, _key(forecast))) as work, meter.ticking():
        check_disk(forecast, work.bytes())
        task = _prepare(forecast, work, meter, on_picture)
        try:
            with torch.inference_mode():
                _restore_shots(task)
        except BaseException as error:
            work.remove_if_empty()
            if keep_model and isinstance(error, Cancelled):
                keep(task.model, weights_on_host=task.plan.weight_place == "host")
            raise
        finally:
            _close(task)
        if keep_model:
            keep(task.model, weights_on_host=task.plan.weight_place == "host")
        return _finish(task)


def _prepare(forecast: Forecast, work: Work, meter: Meter, on_picture: Callable[[Pair], None] | None) -> Task:
    """Loads the model and says what will be done."""
    info, options = forecast.info, forecast.options
    way = forecast.plan.describe(forecast.latents)
    meter.note(f"Model: {forecast.model.label}, {forecast.precision}. {way}")
    unfinished = other_work(forecast.output, work.key)
    for sentence in (*forecast.notes, *info.warnings, *([unfinished] if unfinished else [])):
        meter.note(sentence)
    model, plan = _load(forecast, meter)
    return Task(
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
        originals=Originals(info, meter.check),
        viewer=Viewer(on_picture),
    )


def _load(forecast: Forecast, meter: Meter) -> tuple[Model, Plan]:
    """The model in memory, and the plan; the weights wait on the host where the device has no room."""
    choice, precision, plan = forecast.model, forecast.precision, forecast.plan
    device = torch.device(forecast.device.name)
    try:
        on_host = plan.weight_place == "host"
        return take(choice, device, precision, weights_on_host=on_host), plan
    except MemoryBudgetError:
        if plan.weight_place == "host":
            raise
    # Outside of the handler, for the traceback would keep what filled the memory alive.
    give_back_gpu()
    plan = replace(plan, weight_place="host", device_bytes=0, host_bytes=0)
    meter.note(f"The weights do not fit; going on with less: {plan.describe()}.")
    return take(choice, device, precision, weights_on_host=True), plan


def _key(forecast: Forecast) -> str:
    facts = (
        forecast.options.as_dict(),
        str(forecast.info.rate),
        forecast.model.fingerprint,
        forecast.precision,
    )
    return work_key(forecast.info.path, *facts, __version__)


def _restore_shots(task: Task) -> None:
    """Takes shot after shot through the stages."""
    work, index = task.work, 0
    while True:
        if index == len(work.shots) and (work.ended or not _next_shot(task)):
            return
        shot = work.shots[index]
        if shot.frames is None:
            task.meter.enter("encode", index)
            _sparing(task, encode_shot, index)
            _seen_to_its_end(task)
        else:
            task.meter.credit("encode", index, shot.frames)
        if all(segment.path.exists() for segment in task.segments(index)):
            task.meter.credit("restore", index, shot.frames or 0)
            task.meter.credit("decode", index, shot.frames or 0)
        else:
            if work.condition(index).contiguous() < latents_of(shot.frames or 0, task.time_factor):
                _encode_again(task, index)
            task.meter.enter("restore", index)
            _sparing(task, restore_shot, index)
            task.meter.enter("decode", index)
            _sparing(task, decode_shot, index)
        work.forget_latents(index)
        index += 1


def _seen_to_its_end(task: Task) -> None:
    """A shot has been read; keeps that, and after the last one what was wrong with the input."""
    assert task.stream is not None
    if task.stream.next_frame is None:
        task.work.ended, task.work.warnings = True, list(task.stream.warnings)
    task.work.save()
    _correct_total(task)


def _encode_again(task: Task, index: int) -> None:
    """A segment is missing whose latents are gone: somebody deleted it because it was damaged."""
    shot = task.work.shots[index]
    frames = shot.frames
    # It stands behind the last shot found, and is opened there again when it is wanted.
    _close(task)
    task.meter.enter("encode", index)
    _sparing(task, encode_shot, index)
    _close(task)
    if shot.frames != frames:
        raise InputError(f"{task.info.path.name} changed while it was restored.", remedy="Start again.")


def _next_shot(task: Task) -> bool:
    """Adds the shot that begins with the next frame; False at the end. Raises InputError without a frame."""
    work = task.work
    if task.stream is None:
        last = work.shots[-1] if work.shots else None
        first = last.first + (last.frames or 0) if last else task.beginning
        task.stream = open_stream(task, first, known=0)
    frame = task.stream.next_frame
    if frame is None:
        if not work.shots:
            raise InputError(
                f"{task.info.path.name} has no frame from {task.options.start or 0} s on.",
                remedy="Choose an earlier start.",
            )
        work.ended, work.warnings = True, list(task.stream.warnings)
        work.save()
        return False
    work.shots.append(Shot(frame.number))
    work.save()
    return True


def _correct_total(task: Task) -> None:
    """Once the end has been seen, the number of frames is known."""
    known = sum(shot.frames or 0 for shot in task.work.shots)
    task.meter.frames_total = known if task.work.ended else max(known + 1, task.meter.frames_total)


def _sparing(task: Task, stage: Callable[[Task, int], None], index: int) -> None:
    """Runs a stage; where memory runs out, goes on from what is kept with a plan that needs less."""
    while not _fits(task, stage, index):
        # Outside of the handler, for the traceback would keep what filled the memory alive.
        _use_less(task)


def _fits(task: Task, stage: Callable[[Task, int], None], index: int) -> bool:
    """Runs a stage; False where memory ran out."""
    try:
        stage(task, index)
    except (torch.OutOfMemoryError, MemoryError):
        return False
    except RuntimeError as error:
        # What PyTorch says where the host's memory, not a GPU's, is full.
        if "DefaultCPUAllocator" not in str(error):
            raise
        return False
    return True


def _use_less(task: Task) -> None:
    plan = smaller(task.plan)
    if plan is None:
        raise MemoryBudgetError(
            f"{task.model.choice.label} does not fit into the memory of {task.model.device} at this size.",
            remedy="Choose a smaller size or model, or free the GPU of other programs.",
        )
    _close(task)
    if plan.weight_place != task.plan.weight_place:
        blocks_to_host(task.model.dit)
    task.plan = plan
    give_back_gpu()
    task.meter.note(f"Memory ran out; going on with less: {plan.describe()}.")


def _name_of(dtype: torch.dtype) -> str:
    return next(name for name, known in DTYPES.items() if known == dtype)


def _close(task: Task) -> None:
    task.originals.close()
    if task.stream is not None:
        task.warnings += task.stream.warnings
        task.stream.close()
        task.stream = None


def _finish(task: Task) -> Result:
    """Joins the segments, removes the work, and tells what came out."""
    warnings = [*task.info.warnings, *task.work.warnings, *task.warnings]
    task.meter.enter("join", len(task.work.shots) - 1)
    frames = sum(shot.frames or 0 for shot in task.work.shots)
    if task.info.kind != "image":
        start, end = task.span
        warnings += join_segments(
            task.work.segments(),
            task.info,
            task.target,
            task.output,
            start=start,
            stop=end,
            metadata={"comment": task.comment},
            check=task.meter.check,
        )
    task.work.remove()
    task.meter.frames_total = frames
    task.meter.finish()
    height, width = task.geometry.output
    return Result(
        output=task.output,
        width=width,
        height=height,
        frames=frames,
        shots=tuple(shot.first for shot in task.work.shots),
        model=task.model.choice.name,
        precision=_name_of(task.model.dtype),
        plan=task.plan.describe(),
        elapsed_s=task.meter.elapsed_s,
        warnings=tuple(dict.fromkeys(warnings)),
        stage_s=task.meter.stage_s,
        stage_frames=task.meter.stage_frames,
    )
