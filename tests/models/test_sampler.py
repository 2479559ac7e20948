"""Schedule, guidance and steps are the released ones."""

import pytest
import torch

from seedvr_engine.models.sampler import guided, interpolate, sample, shifted, timesteps
from tests.reference import facts
from tests.reference_weights import uniform


@pytest.mark.parametrize("steps", sorted(facts("schedule")["sampling_timesteps"], key=int))
def test_timesteps(steps):
    assert timesteps(int(steps)) == pytest.approx(facts("schedule")["sampling_timesteps"][steps])


@pytest.mark.parametrize("case", facts("schedule")["timestep_shift"], ids=str)
def test_timestep_shift(case):
    assert shifted(case["t"], tuple(case["latent"])) == pytest.approx(case["shifted"], rel=1e-6)


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_a_perfect_velocity_leads_to_the_clean_latent_in_any_number_of_steps(steps):
    clean, noise = uniform("clean", (2, 4, 4, 16)), uniform("noise", (2, 4, 4, 16))
    torch.testing.assert_close(sample(lambda x, t: noise - clean, noise, steps), clean)


def test_interpolation_goes_from_clean_to_noise():
    clean, noise = torch.zeros(2), torch.ones(2)
    assert interpolate(clean, noise, 250.0).tolist() == [0.25, 0.25]


def test_guidance_of_one_is_the_positive_and_full_rescale_has_its_deviation():
    positive, negative = uniform("p", (2, 4, 4, 16)), uniform("n", (2, 4, 4, 16))
    torch.testing.assert_close(guided(positive, negative, 1.0, 0.0), positive)
    rescaled = guided(positive, negative, 6.5, 1.0)
    torch.testing.assert_close(rescaled.std(-1), positive.std(-1))
