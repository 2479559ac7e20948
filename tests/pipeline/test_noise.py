"""Noise belongs to a place in the file, not to the run that asks for it."""

import torch

from seedvr_engine.pipeline.noise import first_frame, latent_noise


def test_noise_is_a_pure_function_of_seed_and_frame():
    assert torch.equal(latent_noise(1, 5, (4, 6, 16)), latent_noise(1, 5, (4, 6, 16)))
    assert not torch.equal(latent_noise(1, 5, (4, 6, 16)), latent_noise(1, 6, (4, 6, 16)))
    assert not torch.equal(latent_noise(1, 5, (4, 6, 16)), latent_noise(2, 5, (4, 6, 16)))


def test_noise_is_unit_normal_and_frames_are_independent():
    frames = torch.stack([latent_noise(0, frame, (32, 32, 16)) for frame in range(16)])
    assert abs(float(frames.mean())) < 0.01
    assert abs(float(frames.std()) - 1) < 0.01
    assert abs(float((frames[1:] * frames[:-1]).mean())) < 0.01


def test_a_latent_frame_is_named_by_the_first_source_frame_it_covers():
    assert [first_frame(100, latent, 4) for latent in range(4)] == [100, 101, 105, 109]
    assert [first_frame(7, latent, 1) for latent in range(3)] == [7, 8, 9]
