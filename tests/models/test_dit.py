"""The transformer computes what the released one does, however its work is grouped and placed."""

import pytest
import torch

from seedvr_engine.models.dit import DiT
from tests.reference import facts, numbers, relative_error, small_dit, small_dit_config
from tests.reference_weights import fill, uniform

CASES = [
    (variant, tag) for variant in ("seedvr2_3b", "seedvr2_7b") for tag in sorted(numbers(f"dit_{variant}"))
]


def inputs(variant, tag):
    size, timestep = tag.split("_t")
    video = uniform(f"{variant}/{tag}/video", (*map(int, size.split("x")), 33)) * 1.7
    return video, uniform(f"{variant}/{tag}/text", (7, 96)), float(timestep)


@pytest.mark.parametrize(("variant", "tag"), CASES)
@torch.inference_mode()
def test_velocity_is_the_released_models(variant, tag):
    velocity = small_dit(variant)(*inputs(variant, tag))
    assert relative_error(velocity, numbers(f"dit_{variant}")[tag]) < 1e-5


@pytest.mark.parametrize("variant", ["seedvr2_3b", "seedvr2_7b"])
@torch.inference_mode()
def test_bfloat16_stays_close(variant):
    tag = "2x10x14_t1000"
    model = DiT(small_dit_config(variant))
    model.load_state_dict(fill(model.state_dict()))
    video, text, timestep = inputs(variant, tag)
    velocity = model.bfloat16()(video.bfloat16(), text.bfloat16(), timestep)
    assert relative_error(velocity, numbers(f"dit_{variant}")[tag]) < 2e-2


@pytest.mark.parametrize("variant", ["seedvr2_3b", "seedvr2_7b"])
@pytest.mark.parametrize("group_tokens", [1, 50, 10**6])
@torch.inference_mode()
def test_the_size_of_a_group_changes_nothing(variant, group_tokens):
    tag = "13x16x10_t437.5"
    velocity = small_dit(variant)(*inputs(variant, tag), group_tokens=group_tokens)
    assert relative_error(velocity, numbers(f"dit_{variant}")[tag]) < 1e-5


@torch.inference_mode()
def test_weights_may_visit_block_by_block_and_are_home_again_afterwards():
    model = small_dit("seedvr2_3b")
    homes = [parameter.data_ptr() for parameter in model.parameters()]
    tag = "5x12x20_t1000"
    velocity = model(*inputs("seedvr2_3b", tag), stream_weights=True, token_device=torch.device("cpu"))
    assert relative_error(velocity, numbers("dit_seedvr2_3b")[tag]) < 1e-5
    assert [parameter.data_ptr() for parameter in model.parameters()] == homes


@torch.inference_mode()
def test_progress_grows_to_one_and_may_stop_the_pass():
    model, arguments = small_dit("seedvr2_7b"), inputs("seedvr2_7b", "13x16x10_t1000")
    shares: list[float] = []
    model(*arguments, group_tokens=50, on_progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)
    assert len(shares) > len(model.blocks)

    def stop(share):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model(*arguments, on_progress=stop)


@pytest.mark.parametrize("shape", [(2, 9, 8, 33), (2, 8, 8, 32), (8, 8, 33)])
def test_a_wrong_video_is_refused_with_its_shape(shape):
    with pytest.raises(ValueError, match=str(shape[-1])):
        small_dit("seedvr2_3b")(torch.zeros(shape), torch.zeros(7, 96), 1000.0)


@pytest.mark.parametrize("variant", ["seedvr2_3b", "seedvr2_7b"])
def test_a_pass_runs_on_the_meta_device(variant):
    with torch.device("meta"), torch.inference_mode():
        model = DiT(small_dit_config(variant))
        velocity = model(torch.empty(5, 12, 20, 33), torch.empty(7, 96), 1000.0)
    assert velocity.shape == (5, 12, 20, 16)
    assert velocity.is_meta


@pytest.mark.parametrize("network", ["3b", "7b"])
def test_parameters_are_the_released_files(network):
    from seedvr_engine.models.manifest import manifest

    released = facts("state_dict_manifest")[network]
    kept = {key: tuple(shape) for key, shape in released.items() if not key.endswith("rope.freqs")}
    assert manifest(network) == kept


def test_it_learns_a_skip_from_the_condition():
    """The output of the preview starts at the velocity that leads back to the condition."""
    from dataclasses import replace

    model = DiT(replace(small_dit_config("seedvr2_7b"), skip=True))
    with torch.no_grad():
        model.vid_out.proj.weight.zero_()
        model.vid_out.proj.bias.zero_()
    video = uniform("skip", (2, 8, 8, 33))
    velocity = model(video, uniform("text", (7, 96)), 1000.0)
    torch.testing.assert_close(velocity, video[..., :16] - video[..., 16:32])
    velocity.square().mean().backward()
    assert all(p.grad is not None for p in (model.vid_out.proj.weight, model.vid_out.proj.bias))
