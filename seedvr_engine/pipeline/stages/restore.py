"""Condition latents become restored ones."""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from seedvr_engine.media.pictures import remove
from seedvr_engine.pipeline.counts import latents_of
from seedvr_engine.pipeline.heap import Trimmer
from seedvr_engine.pipeline.latent import restore_latent
from seedvr_engine.pipeline.noise import first_frame, latent_noise
from seedvr_engine.pipeline.task import Task


def stretches(latents: int, longest: int | None, overlap: int) -> list[tuple[int, int]]:
    """Cuts a shot into the stretches of single passes, nearly equal, neighbours sharing `overlap` latents."""
    if longest is None or latents <= longest:
        return [(0, latents)]
    count = math.ceil((latents - overlap) / (longest - overlap))
    bounds = [round(i * (latents - overlap) / count) for i in range(count + 1)]
    return [(bounds[i], bounds[i + 1] + overlap) for i in range(count)]


def restore_shot(task: Task, index: int) -> None:
    """Takes the shot's latents through the transformer, in one pass where memory allows."""
    shot, kept = task.work.shots[index], task.work.restored(index)
    assert shot.frames is not None
    latents = latents_of(shot.frames, task.time_factor)
    cuts = stretches(latents, task.plan.stretch_latents, task.plan.overlap_latents)
    finished = set(kept.runs())
    if kept.contiguous() == latents:
        # Stretches of an earlier plan serve as well, once they are all there.
        task.meter.credit("restore", index, shot.frames)
        return
    if not finished <= set(cuts):
        # Stretches of another plan do not fit between those of this one, nor do frames decoded from them.
        kept.clear()
        for segment in task.segments(index):
            remove(segment.path)
        finished = set()
    done = shot.frames * len(finished) / len(cuts)
    task.meter.credit("restore", index, done)
    for start, stop in cuts:
        if (start, stop) not in finished:
            share = shot.frames / len(cuts)
            kept.write(start, _restore_stretch(task, index, (start, stop), _share_teller(task, done, share)))
            task.meter.keep()
            done += share


def _restore_stretch(
    task: Task, index: int, stretch: tuple[int, int], on_progress: Callable[[float], None]
) -> Tensor:
    """One stretch of latents of the shot, (T, H, W, C)."""
    model, options, plan = task.model, task.options, task.plan
    start, stop = stretch
    condition = task.work.condition(index).read(start, stop).to(model.device, model.dtype)
    noise = torch.zeros_like(condition)
    shape = (condition.shape[1], condition.shape[2], condition.shape[3])
    if model.choice.noisy:
        for latent in range(start, stop):
            number = first_frame(task.work.shots[index].first, latent, task.time_factor)
            noise[latent - start] = latent_noise(options.seed, number, shape)
    dit = partial(
        model.dit,
        group_tokens=plan.group_tokens,
        token_device=torch.device("cpu") if plan.token_place == "host" else None,
        stream_weights=plan.weight_place == "host" and model.device.type != "cpu",
        kernel="auto",
        on_progress=on_progress,
    )
    return restore_latent(
        dit,
        condition,
        noise,
        model.text_pos,
        model.text_neg,
        options.steps,
        options.guidance,
        options.rescale,
        options.condition_noise,
        time_factor=task.time_factor,
        space_factor=model.vae.config.space_factor,
    )


def _share_teller(task: Task, done: float, frames: float) -> Callable[[float], None]:
    """Turns the share of one pass into frames of the shot.

    done: frames before this stretch. frames: what the stretch itself counts for.
    """
    passes = task.options.steps * (1 if task.options.guidance == 1.0 else 2)
    finished, told = 0, 0.0
    trimmer = Trimmer()

    def tell(share: float) -> None:
        nonlocal finished, told
        # A smaller share than the last one tells that the next pass has begun.
        finished, told = finished + (share < told), share
        task.meter.reach(done + frames * (finished + share) / passes)
        trimmer.step()

    return tell
