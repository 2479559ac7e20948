"""Restores one input: frames -> shots -> autoencoder -> transformer -> autoencoder -> colour -> file.

Shot after shot, and within a shot stage after stage, so that only one network works at a time and only
latents wait on disk. Whatever is finished is kept (`pipeline.work`), and the same call goes on from there.
"""

import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import torch

from seedvr_engine import __version__
from seedvr_engine.errors import Cancelled, MemoryBudgetError
from seedvr_engine.media.info import MediaInfo
from seedvr_engine.media.probe import probe
from seedvr_engine.media.write import join_segments
from seedvr_engine.pipeline.estimate import Rates, estimate
from seedvr_engine.pipeline.forecast import Forecast, check_disk, check_output, foresee
from seedvr_engine.pipeline.heap import give_back_gpu
from seedvr_engine.pipeline.messages import Pair, Progress, Result
from seedvr_engine.pipeline.model import DTYPES, Model, keep, take
from seedvr_engine.pipeline.options import Options
from seedvr_engine.pipeline.plan import Plan
from seedvr_engine.pipeline.progress import Meter
from seedvr_engine.pipeline.sharing import (
    close_readers,
    free_shots,
    help_with_shots,
    restore_shots,
    wait_for_others,
)
from seedvr_engine.pipeline.shots import Originals
from seedvr_engine.pipeline.task import Task, Viewer
from seedvr_engine.pipeline.work import Work, other_work, work_key


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
    helpers: int = 0,
) -> Result:
    """Restores a video or a picture.

    output: where the result belongs; `IN_restored.EXT` beside the input when not given. An existing one is
    only replaced with `overwrite`. plan: how memory is used; chosen for this machine when not given.
    on_progress: told a few times a second, now and then by another thread. on_picture: shown the first frame
    that is done, then about one a second. cancelled: asked often; the restoration stops when it says so.
    info: what is known of the input already (a sequence of pictures). rates: what earlier runs of the kind
    were measured to do, so that the time left is true. keep_model: the model stays in memory for the next
    restoration of this process. helpers: processes that call `help_restore` meanwhile.
    Raises Cancelled, and the other errors of `seedvr_engine.errors`; finished work is kept in every case.
    """
    forecast = foresee(info or probe(input), options or Options(), output, plan)
    check_output(forecast, overwrite)
    device = torch.device(forecast.device.name)
    meter = Meter(estimate(forecast, rates), device, on_progress, cancelled)
    with closing(Work(forecast.output, _key(forecast))) as work, meter.ticking():
        check_disk(forecast, work.bytes())
        _announce(forecast, work, meter)
        task = _task(forecast, work, meter, on_picture)
        try:
            with torch.inference_mode():
                restore_shots(task, helpers)
        except BaseException as error:
            work.remove_if_empty()
            if keep_model and isinstance(error, Cancelled):
                _keep_model(task)
            raise
        finally:
            close_readers(task)
        if keep_model:
            _keep_model(task)
        return _finish(task)


def help_restore(
    input: Path,
    output: Path,
    options: Options,
    *,
    is_over: Callable[[], bool],
    info: MediaInfo | None = None,
) -> int:
    """Takes shots off the hands of a process that restores the same with `helpers`, until that is over.

    options: the same but for the device. info: as for `restore`. is_over: asked often; True once the other
        process is done or stops.
    The model stays in memory for the next time. Where this device calls for another model or precision than
    the other one's, nothing is done.
    Returns how many shots it finished. Raises the errors of `seedvr_engine.errors` but Cancelled; the other
    process takes the shot over.
    """
    began = time.time()
    forecast = foresee(info or probe(input), options, output)
    work = Work(forecast.output, _key(forecast), as_helper=True)
    device = torch.device(forecast.device.name)

    def is_dismissed() -> bool:
        work.show_life()
        return is_over() or work.is_over(began)

    meter = Meter(estimate(forecast, None), device, None, is_dismissed)
    factor, count = forecast.model.vae.time_factor, 0
    with suppress(Cancelled), torch.inference_mode():
        while not free_shots(work, factor):
            wait_for_others(meter)
            work.load()
        # Loading takes long; nothing is loaded for a clip of a single shot, which its owner holds.
        task = _task(forecast, work, meter, None)
        try:
            for _ in help_with_shots(task):
                count += 1
        except Cancelled:
            _keep_model(task)
        finally:
            close_readers(task)
    return count


def _announce(forecast: Forecast, work: Work, meter: Meter) -> None:
    """Says what will be done."""
    way = forecast.plan.describe(forecast.latents)
    meter.note(f"Model: {forecast.model.label}, {forecast.precision}. {way}")
    unfinished = other_work(forecast.output, work.key)
    for sentence in (*forecast.notes, *forecast.info.warnings, *([unfinished] if unfinished else [])):
        meter.note(sentence)


def _keep_model(task: Task) -> None:
    """The next restoration of this process finds it in memory."""
    keep(task.model, weights_on_host=task.plan.weight_place == "host")


def _task(forecast: Forecast, work: Work, meter: Meter, on_picture: Callable[[Pair], None] | None) -> Task:
    """Loads the model."""
    model, plan = _load(forecast, meter)
    return Task(
        forecast.info,
        forecast.options,
        forecast.geometry,
        forecast.target,
        forecast.output,
        model,
        plan,
        work,
        meter,
        residual=forecast.residual,
        originals=Originals(forecast.info, meter.check),
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
    # Where it runs changes nothing that is kept.
    choices = {
        name: value for name, value in forecast.options.as_dict().items() if name not in ("device", "gpus")
    }
    facts = (
        choices,
        str(forecast.info.rate),
        forecast.model.fingerprint,
        forecast.precision,
    )
    return work_key(forecast.info.path, *facts, __version__)


def _name_of(dtype: torch.dtype) -> str:
    return next(name for name, known in DTYPES.items() if known == dtype)


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
