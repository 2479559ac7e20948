"""The preview that comes with the package restores pictures that it has never seen."""

import numpy as np
import pytest
import torch

from seedvr_engine.errors import CheckpointError
from seedvr_engine.preview.config import TEXT_SHAPE, TIMESTEP
from seedvr_engine.preview.damage import KINDS, damage
from seedvr_engine.preview.evaluate import (
    Comparison,
    compare,
    fit_linear_filter,
    linear_filter,
    score,
    to_pixels,
    with_preview,
)
from seedvr_engine.preview.held_out import held_out_clip
from seedvr_engine.preview.model import WEIGHTS, Preview, load, load_preview
from seedvr_engine.preview.tensors import resize

WANTED_GAIN_DB = {"old film": 0.9, "soft": 0.7, "phone": 0.3, "heavy": 0.15}


@pytest.fixture(scope="module")
def preview() -> Preview:
    return load().eval().requires_grad_(False)


@pytest.mark.parametrize("kind", ["old film", "soft"])
def test_the_preview_beats_bicubic_on_a_picture_that_it_has_never_seen(preview, kind):
    clean = held_out_clip("astronaut", frames=2, height=96, width=128)
    enlarged = resize(damage(clean, KINDS[kind], np.random.default_rng(0))[None])
    restored = with_preview(preview)(enlarged)
    scores = [score(clean, to_pixels(clip)) for clip in (enlarged, restored)]
    assert scores[1].psnr_db > scores[0].psnr_db + 0.5
    assert scores[1].ssim > scores[0].ssim


def test_its_parts_put_together_by_hand_give_the_same(preview):
    video = torch.rand(1, 3, 3, 32, 48, generator=torch.Generator().manual_seed(0)) * 2 - 1
    dit, vae, text = load_preview()
    assert text.shape == TEXT_SHAPE
    mean, _ = vae.encode(video)
    condition = mean[0].movedim(0, -1) * vae.config.scaling
    noise = torch.zeros_like(condition)
    velocity = dit(torch.cat((noise, condition, torch.ones_like(condition[..., :1])), -1), text, TIMESTEP)
    restored = (noise - velocity).movedim(-1, 0)[None] / vae.config.scaling
    by_hand = video + vae.decode(restored) - vae.decode(mean)
    assert torch.allclose(by_hand, preview(video)[0], atol=1e-5)


def test_its_autoencoder_is_one(preview):
    clean = held_out_clip("chelsea", frames=2, height=96, width=128)
    enlarged = resize(damage(clean, KINDS["phone"], np.random.default_rng(0))[None])
    decoded = preview.vae.decode(preview.vae.encode(enlarged)[0])
    psnr_db = 10 * torch.log10(4 / (decoded - enlarged).square().mean())
    assert psnr_db > 26


def test_a_picture_of_any_size_that_fits_the_tokens_goes_through(preview):
    for shape in [(1, 3, 1, 8, 8), (1, 3, 5, 40, 72)]:
        restored, _ = preview(torch.zeros(shape))
        assert restored.shape == shape
        assert restored.isfinite().all()


def test_the_weights_fit_into_the_package():
    assert WEIGHTS.stat().st_size <= 12e6


def test_foreign_weights_are_told_with_a_remedy(tmp_path):
    with pytest.raises(CheckpointError, match="missing") as missing:
        load_preview(path=tmp_path / "weights.safetensors")
    assert "seedvr_engine.preview.train" in missing.value.remedy
    (tmp_path / "weights.safetensors").write_bytes(b"not weights at all")
    with pytest.raises(CheckpointError):
        load_preview(path=tmp_path / "weights.safetensors")


def test_a_linear_filter_that_passes_everything_changes_nothing():
    kernel = torch.zeros(9, 9)
    kernel[4, 4] = 1
    video = torch.rand(1, 3, 2, 16, 24)
    assert torch.allclose(linear_filter(kernel)(video), video)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_held_out_clips_gain_what_was_promised(preview):
    methods = {"linear": linear_filter(fit_linear_filter()), "preview": with_preview(preview)}
    comparisons = compare(methods)
    for kind, wanted in WANTED_GAIN_DB.items():
        clips = [comparison for comparison in comparisons if comparison.kind == kind]
        assert np.mean([c.gain_db() for c in clips]) >= wanted, kind
        assert np.mean([c.gain_db() for c in clips]) > np.mean([c.gain_db("linear") for c in clips]), kind
        assert min(map(Comparison.gain_db, clips)) > -0.1, kind
        base, ours = ([c.scores[method] for c in clips] for method in ("bicubic", "preview"))
        assert np.mean([s.ssim for s in ours]) > np.mean([s.ssim for s in base]), kind
        assert np.mean([s.change_error for s in ours]) <= np.mean([s.change_error for s in base]), kind
