"""Takes the shots of one input through the stages, alone or shared among processes with a device each.

Nothing crosses a shot, so that whole shots are what processes can share. One of them, the owner, reads the
input and encodes: shots are found in order. Encoded shots wait in the work folder, and whoever is free takes
the first one that nobody holds through the transformer and the decoder: owner and helpers alike. All that
they know of each other is on disk (`Work.holding`), so that a helper that dies leaves a shot that the owner
takes over, and an owner that dies leaves work that any later run goes on from.
"""

import time
from collections.abc import Callable, Iterator

import torch

from seedvr_engine.errors import InputError, MemoryBudgetError, SilentHelperError
from seedvr_engine.pipeline.counts import latents_of, segments_of
from seedvr_engine.pipeline.heap import give_back_gpu
from seedvr_engine.pipeline.model import blocks_to_host
from seedvr_engine.pipeline.plan import smaller
from seedvr_engine.pipeline.progress import Meter
from seedvr_engine.pipeline.stages.decode import decode_shot
from seedvr_engine.pipeline.stages.encode import encode_shot, open_stream
from seedvr_engine.pipeline.stages.restore import restore_shot, stretches
from seedvr_engine.pipeline.task import Task
from seedvr_engine.pipeline.work import Shot, Work

_POLL_S = 0.1
# A helper sees within a step of its model that a restoration was stopped.
_PATIENCE_S = 10.0
# A step of a model takes seconds; a GPU that hangs takes for ever.
_SILENT_S = 900.0


def restore_shots(task: Task, helpers: int = 0) -> None:
    """Takes every shot through the stages, as the owner. helpers: processes that may take some of them."""
    task.work.stretch_latents = task.plan.stretch_latents
    for index, shot in enumerate(task.work.shots):
        _credit(task, index, shot)
    if not helpers:
        while _go_on(task, helpers):
            pass
        return
    try:
        while _go_on(task, helpers):
            _count_others(task)
        _count_others(task)
    finally:
        task.work.dismiss_helpers()
        _see_off(task)


def help_with_shots(task: Task) -> Iterator[int]:
    """Finishes encoded shots that nobody holds, as a helper, until the restoration is over (Cancelled).

    Yields the number of each.
    """
    while True:
        for index in free_shots(task.work, task.time_factor):
            if _suits(task, index) and _take_shot(task, index, as_helper=True):
                yield index
        wait_for_others(task.meter)
        task.work.load()


def free_shots(work: Work, time_factor: int) -> list[int]:
    """Shots whole in their condition latents that lack segments and that nobody holds."""
    return [
        index
        for index in _unfinished(work, time_factor)
        if _has_condition(work, index, time_factor) and not work.is_held(index)
    ]


def _suits(task: Task, index: int) -> bool:
    """Whether a helper makes of a shot what its owner would.

    A card with less memory would cut it into other stretches. And where the output has a rate of its own,
    the clip's end shows a frame that depends on whether there was any before.
    """
    frames = task.work.shots[index].frames
    assert frames is not None
    latents, overlap = latents_of(frames, task.time_factor), task.plan.overlap_latents
    own, owners = (
        stretches(latents, longest, overlap)
        for longest in (task.plan.stretch_latents, task.work.stretch_latents)
    )
    is_last = task.work.ended and index == len(task.work.shots) - 1
    return own == owners and not (is_last and task.options.rate is not None)


def wait_for_others(meter: Meter) -> None:
    """Lets a moment pass. Raises Cancelled."""
    meter.check()
    time.sleep(_POLL_S)


def _credit(task: Task, index: int, shot: Shot) -> None:
    """Counts what an earlier run has finished."""
    if shot.frames is None:
        return
    task.meter.credit("encode", index, shot.frames)
    if written := _frames_written(task, index):
        task.meter.credit("restore", index, shot.frames)
        task.meter.credit("decode", index, written)
    if _is_finished(task.work, index, task.time_factor):
        task.work.forget_latents(index)


def _frames_written(task: Task, index: int) -> int:
    """Frames of an encoded shot that are in its segments."""
    return sum(part.stop - part.first for part in task.segments(index) if part.path.exists())


def _go_on(task: Task, helpers: int) -> bool:
    """One step: encodes a shot, finishes one, or waits for others. False where nothing is left."""
    unfinished = _unfinished(task.work, task.time_factor)
    # Two shots wait for each helper, so that it always finds one.
    if not task.work.ended and len(unfinished) <= 2 * helpers:
        _encode_next(task)
        return True
    if not unfinished:
        return False
    if task.options.rate is not None and len(unfinished) > 1 and task.work.ended:
        # What the clip's end shows depends on all that comes before.
        unfinished.pop()
    if not any(_take_shot(task, index) for index in unfinished):
        _check_others(task, unfinished)
        wait_for_others(task.meter)
    return True


def _check_others(task: Task, held: list[int]) -> None:
    """Raises SilentHelperError where all shots that are left are held by processes that do not move."""
    if all(task.work.silent_s(index) > _SILENT_S for index in held):
        raise SilentHelperError(
            f"A process that shares the work has not moved for {_SILENT_S / 60:.0f} minutes.",
            remedy="Start it again: it goes on from what is finished. If that comes back, use fewer GPUs.",
        )


def _count_others(task: Task) -> None:
    """Adds what other processes have written to the progress."""
    for index, shot in enumerate(task.work.shots):
        if shot.frames is None or index in task.counted:
            continue
        if written := _frames_written(task, index):
            task.meter.add("restore", index, shot.frames)
            task.meter.add("decode", index, written)
        if written == shot.frames:
            task.counted.add(index)


def _take_shot(task: Task, index: int, *, as_helper: bool = False) -> bool:
    """Takes an encoded shot through transformer and decoder.

    False where another process holds it; for a helper, also where another one has finished it.
    """
    with task.work.holding(index) as is_mine:
        if not is_mine:
            return False
        # Whoever held it before may have finished it just now.
        if _is_finished(task.work, index, task.time_factor):
            return not as_helper
        if not _has_condition(task.work, index, task.time_factor):
            if as_helper:
                return False
            _encode_again(task, index)
        task.meter.enter("restore", index)
        _sparing(task, restore_shot, index)
        task.meter.enter("decode", index)
        _sparing(task, decode_shot, index)
        # A picture is written to its own place, not to segments.
        task.work.finished.add(index)
        task.work.forget_latents(index)
    return True


def _see_off(task: Task) -> None:
    """Waits until no helper works on a shot any more: the work may be removed next."""
    deadline = time.monotonic() + _PATIENCE_S
    for index in _unfinished(task.work, task.time_factor):
        while task.work.is_held(index) and time.monotonic() < deadline:
            time.sleep(_POLL_S)


def _unfinished(work: Work, time_factor: int) -> list[int]:
    """Encoded shots that lack segments."""
    return [
        index
        for index, shot in enumerate(work.shots)
        if shot.frames is not None and not _is_finished(work, index, time_factor)
    ]


def _is_finished(work: Work, index: int, time_factor: int) -> bool:
    """Whether all segments of an encoded shot are there; once seen, it is not looked up again."""
    if index not in work.finished and _has_segments(work, index, time_factor):
        work.finished.add(index)
    return index in work.finished


def _has_segments(work: Work, index: int, time_factor: int) -> bool:
    return all(segment.path.exists() for segment in segments_of(work, index, time_factor))


def _has_condition(work: Work, index: int, time_factor: int) -> bool:
    frames = work.shots[index].frames
    assert frames is not None
    return work.condition(index).contiguous() == latents_of(frames, time_factor)


def _encode_next(task: Task) -> None:
    """Encodes the shot that comes next, where there is one."""
    shots = task.work.shots
    is_under_way = bool(shots) and shots[-1].frames is None
    if is_under_way or _next_shot(task):
        index = len(shots) - 1
        task.meter.enter("encode", index)
        _sparing(task, encode_shot, index)
        _seen_to_its_end(task)


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
    close_readers(task)
    task.meter.enter("encode", index)
    _sparing(task, encode_shot, index)
    close_readers(task)
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
    close_readers(task)
    if plan.weight_place != task.plan.weight_place:
        blocks_to_host(task.model.dit)
    task.plan = plan
    task.work.stretch_latents = plan.stretch_latents
    give_back_gpu()
    task.meter.note(f"Memory ran out; going on with less: {plan.describe()}.")


def close_readers(task: Task) -> None:
    """Closes the input; what is to be read again is opened again."""
    task.originals.close()
    if task.stream is not None:
        task.warnings += task.stream.warnings
        task.stream.close()
        task.stream = None
