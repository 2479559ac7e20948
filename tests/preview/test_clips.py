"""Drawn clips and what is done to them."""

import numpy as np
import pytest
import torch

from seedvr_engine.preview.damage import KINDS, Damage, damage, draw_damage
from seedvr_engine.preview.draw import PHOTOGRAPHS, draw_clip
from seedvr_engine.preview.held_out import NAMES, held_out_clip
from seedvr_engine.preview.pool import draw_pair, load_pool
from seedvr_engine.preview.tensors import resize, to_video


def error(clean: np.ndarray, damaged: np.ndarray) -> float:
    """Root mean square, in steps of 1/255, after enlarging."""
    return float(127.5 * (resize(damaged[None]) - to_video(clean[None])).square().mean().sqrt())


@pytest.fixture(scope="module")
def coffee() -> np.ndarray:
    return held_out_clip("coffee", frames=3, height=96, width=128)


def test_the_same_seed_draws_the_same_clip_and_another_seed_another():
    clips = [draw_clip(np.random.default_rng(seed), frames=2, size=64) for seed in (5, 5, 6)]
    assert clips[0].shape == (2, 64, 64, 3)
    assert np.array_equal(clips[0], clips[1])
    assert not np.array_equal(clips[0], clips[2])


def test_drawn_clips_use_the_whole_range_and_most_of_them_move():
    clips = [draw_clip(np.random.default_rng(seed), frames=3, size=64) for seed in range(12)]
    assert min(clip.min() for clip in clips) < 30
    assert max(clip.max() for clip in clips) > 225
    assert sum(not np.array_equal(clip[0], clip[2]) for clip in clips) >= 8


def test_nothing_that_the_model_is_judged_on_is_trained_on():
    assert not set(NAMES) & set(PHOTOGRAPHS)


@pytest.mark.parametrize(
    ("milder", "worse"),
    [
        (Damage(blur=0.5, noise=2, crf=20), Damage(blur=1.5, noise=2, crf=20)),
        (Damage(blur=1.0, noise=2, crf=20), Damage(blur=1.0, noise=12, crf=20)),
        (Damage(blur=1.0, noise=2, crf=20), Damage(blur=1.0, noise=2, crf=38)),
    ],
    ids=["blur", "noise", "compression"],
)
def test_more_damage_is_more_error(coffee, milder, worse):
    errors = [error(coffee, damage(coffee, how, np.random.default_rng(0))) for how in (milder, worse)]
    assert errors[1] > 1.1 * errors[0]


def test_damage_does_not_move_the_picture(coffee):
    light = damage(coffee, Damage(blur=0.3, noise=0.5, crf=8), np.random.default_rng(0))
    enlarged = resize(light[None])[0]
    clean = to_video(coffee[None])[0]
    at_rest = (enlarged - clean)[..., 4:-4, 4:-4].square().mean()
    for shift in [(1, 0), (-1, 0), (0, 1), (0, -1)]:
        moved = (torch.roll(enlarged, shift, dims=(-2, -1)) - clean)[..., 4:-4, 4:-4]
        assert moved.square().mean() > 1.5 * at_rest


def test_a_clip_that_cannot_be_halved_into_even_sides_is_refused(coffee):
    with pytest.raises(ValueError, match="126x96"):
        damage(coffee[:, :, :126], KINDS["soft"], np.random.default_rng(0))


def test_random_damage_covers_every_kind():
    rng = np.random.default_rng(0)
    drawn = [draw_damage(rng) for _ in range(400)]
    for kind in KINDS.values():
        near = [d for d in drawn if abs(d.blur - kind.blur) < 0.3 and abs(d.crf - kind.crf) < 3]
        near = [d for d in near if abs(d.noise / kind.noise - 1) < 0.4]
        assert len(near) > 20


def test_a_pool_is_drawn_once_and_its_crops_match(tmp_path):
    pool = load_pool(tmp_path, clips=2, seed=3, processes=1, shard_clips=2)
    (shard,) = tmp_path.iterdir()
    drawn = shard.stat().st_mtime_ns
    assert np.array_equal(load_pool(tmp_path, clips=2, seed=3, shard_clips=2).clean, pool.clean)
    assert shard.stat().st_mtime_ns == drawn
    assert np.array_equal(pool.clean[1], draw_pair(3, 1)[0])
    clean, small = pool.crop(np.random.default_rng(0), count=6, frames=3, size=32)
    assert clean.shape == (6, 3, 32, 32, 3)
    assert small.shape == (6, 3, 16, 16, 3)
    own = [error(a, b) for a, b in zip(clean, small, strict=True)]
    foreign = [error(a, b) for a, b in zip(clean, small[::-1], strict=True)]
    assert np.mean(own) < 0.7 * np.mean(foreign)
