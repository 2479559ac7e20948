"""Training makes the model better, and remembers where it was."""

import numpy as np
import pytest
import torch

from seedvr_engine.preview.model import Preview
from seedvr_engine.preview.pool import Pool, draw_pair
from seedvr_engine.preview.tensors import resize, to_video
from seedvr_engine.preview.train import Recipe, Trainer, initialise

SMALL = Recipe(clips=1, frames=2, size=48, warmup_steps=1)


@pytest.fixture(scope="module")
def pool() -> Pool:
    pairs = [draw_pair(1, index) for index in range(2)]
    return Pool(np.stack([clean for clean, _ in pairs]), np.stack([small for _, small in pairs]))


def batch(pool: Pool) -> tuple[np.ndarray, np.ndarray]:
    return pool.crop(np.random.default_rng(0), SMALL.clips, SMALL.frames, SMALL.size)


def test_an_untrained_preview_returns_its_input():
    torch.manual_seed(0)
    video = torch.rand(1, 3, 2, 32, 48) * 2 - 1
    restored, _ = initialise(Preview())(video)
    assert torch.allclose(restored, video, atol=1e-5)


def test_steps_on_a_batch_lower_its_loss(pool):
    trainer = Trainer(SMALL, seed=0)
    clean, damaged = batch(pool)
    losses = [trainer.step(clean, damaged, progress=0.5)["loss"] for _ in range(6)]
    assert losses[-1] < losses[0]


def test_every_weight_is_trained(pool):
    trainer = Trainer(SMALL, seed=0)
    clean, damaged = batch(pool)
    for _ in range(2):  # the output layer starts at zero: the first step reaches nothing before it
        trainer.step(clean, damaged, progress=0.5)
    trainer.optimiser.zero_grad(set_to_none=True)
    loss, _ = trainer.loss(resize(damaged), to_video(clean), progress=0.5)
    loss.backward()
    idle = {name for name, p in trainer.model.named_parameters() if p.grad is None or not p.grad.any()}
    assert not {name for name in idle if "text" not in name and "txt" not in name and "logvar" not in name}


def test_a_training_goes_on_from_its_checkpoint_as_if_it_had_not_stopped(pool, tmp_path):
    clean, damaged = batch(pool)
    whole, first = Trainer(SMALL, seed=0), Trainer(SMALL, seed=0)
    whole.step(clean, damaged, 0.5)
    first.step(clean, damaged, 0.5)
    first.save(tmp_path)
    resumed = Trainer(SMALL, seed=9)
    resumed.load(tmp_path)
    logs = [trainer.step(clean, damaged, 0.5) for trainer in (whole, resumed)]
    assert logs[0] == pytest.approx(logs[1], rel=1e-4)
    assert resumed.steps == 2


def test_the_rate_rises_first_and_falls_with_time():
    trainer = Trainer(Recipe(warmup_steps=10, rate=1.0), seed=0)
    assert trainer.rate(0.0) == pytest.approx(0.1)
    trainer.steps = 20
    rates = [trainer.rate(progress) for progress in (0.0, 0.5, 1.0)]
    assert rates == pytest.approx([1.0, 0.505, 0.01])
