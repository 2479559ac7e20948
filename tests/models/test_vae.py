"""The autoencoder computes what the released one does, whole or in any pieces."""

import pytest
import torch

from seedvr_engine.models.causal import CausalConv3d, Past
from seedvr_engine.models.vae import VideoVAE
from tests.reference import facts, numbers, relative_error, small_vae, small_vae_config
from tests.reference_weights import fill, uniform

TAGS = sorted(key.removesuffix("/moments") for key in numbers("vae") if key.endswith("/moments"))
LONGEST = "29x16x32"


def video(tag):
    return uniform(f"vae/{tag}/video", (1, 3, *map(int, tag.split("x"))))


def moments(pieces):
    return torch.cat([torch.cat(piece, dim=1) for piece in pieces], dim=2)[0]


@pytest.mark.parametrize("tag", TAGS)
@torch.inference_mode()
def test_moments_and_pixels_are_the_released_models(tag):
    vae = small_vae()
    mean, logvar = vae.encode(video(tag))
    assert relative_error(moments([(mean, logvar)]), numbers("vae")[f"{tag}/moments"]) < 1e-5
    assert relative_error(vae.decode(mean)[0], numbers("vae")[f"{tag}/decoded"]) < 1e-5


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 7, 29])
@pytest.mark.parametrize("frames", [1, 4])
@torch.inference_mode()
def test_a_clip_encoded_in_pieces_equals_the_whole(length, frames):
    pieces = video(LONGEST).split(length, dim=2)
    streamed = moments(small_vae().encode_stream(pieces, frames=frames))
    assert relative_error(streamed, numbers("vae")[f"{LONGEST}/moments"]) < 1e-5


@pytest.mark.parametrize("length", [1, 2, 3, 8])
@pytest.mark.parametrize("frames", [1, 4])
@torch.inference_mode()
def test_a_clip_decoded_in_pieces_equals_the_whole(length, frames):
    latent = numbers("vae")[f"{LONGEST}/moments"][None, :16]
    streamed = torch.cat(list(small_vae().decode_stream(latent.split(length, dim=2), frames=frames)), dim=2)
    assert relative_error(streamed[0], numbers("vae")[f"{LONGEST}/decoded"]) < 1e-5


@torch.inference_mode()
def test_the_first_piece_of_a_decode_gives_one_frame_and_every_other_four_per_latent():
    latent = uniform("latent", (1, 16, 4, 2, 2))
    counts = [piece.shape[2] for piece in small_vae().decode_stream(latent.split((2, 1, 1), dim=2))]
    assert counts == [5, 4, 4]


@torch.inference_mode()
def test_a_decode_that_starts_early_enough_forgets_where_it_started():
    latent = uniform("long", (1, 16, 44, 2, 2))
    whole = small_vae().decode(latent)
    late = small_vae().decode(latent[:, :, 4:])
    torch.testing.assert_close(late[:, :, -4:], whole[:, :, -4:], rtol=0, atol=1e-5)


@torch.inference_mode()
def test_bfloat16_stays_close():
    tag = "5x48x32"
    vae = VideoVAE(small_vae_config())
    vae.load_state_dict(fill(vae.state_dict()))
    mean, logvar = vae.bfloat16().encode(video(tag).bfloat16())
    assert relative_error(moments([(mean, logvar)]), numbers("vae")[f"{tag}/moments"]) < 2e-2


@pytest.mark.parametrize("shape", [(1, 3, 4, 32, 32), (1, 3, 5, 36, 32), (1, 1, 5, 32, 32), (3, 5, 32, 32)])
def test_a_video_that_does_not_fit_is_refused_with_its_shape(shape):
    with pytest.raises(ValueError, match=str(shape[-2])):
        small_vae().encode(torch.zeros(shape))


def test_it_runs_on_the_meta_device():
    with torch.device("meta"), torch.inference_mode():
        vae = VideoVAE(small_vae_config())
        mean, _ = vae.encode(torch.empty(1, 3, 9, 32, 48))
        assert mean.shape == (1, 16, 3, 4, 6)
        assert vae.decode(mean).shape == (1, 3, 9, 32, 48)


def test_parameters_are_the_released_files():
    from seedvr_engine.models.manifest import manifest

    assert manifest("vae") == {k: tuple(shape) for k, shape in facts("state_dict_manifest")["vae"].items()}


@pytest.mark.parametrize("stride", [(1, 1, 1), (2, 2, 2)])
def test_small_convolutions_take_the_fast_way_and_give_the_same(stride):
    """The preview's encoder at 640x360 spends half its time there otherwise."""
    generator = torch.Generator().manual_seed(0)
    conv = CausalConv3d(32, 64, (3, 3, 3), stride, corner=stride != (1, 1, 1)).eval()
    video = torch.randn(1, 32, 5, 24, 32, generator=generator)
    with torch.inference_mode(), torch.profiler.profile() as seen:
        fast = conv([video], 5, Past())
    assert not any("slow_conv3d" in event.name for event in seen.events())
    expected = conv([video], 5, Past())  # with gradients, as in training
    torch.testing.assert_close(fast, expected.detach(), rtol=1e-5, atol=1e-5)
