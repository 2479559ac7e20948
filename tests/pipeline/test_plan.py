"""The closed forms against the counter, and the plans made from them."""

import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import pytest

from benchmarks.count import MODELS, Count, count_decode, count_dit, count_encode
from seedvr_engine.errors import MemoryBudgetError
from seedvr_engine.models.config import DiTConfig, VAEConfig
from seedvr_engine.pipeline.cost import Cost, decode_cost, dit_cost, dit_weights, encode_cost, vae_weights
from seedvr_engine.pipeline.plan import Machine, Plan, make_plan, smaller

GIB = 2**30
VAE = VAEConfig()


def check(counted: Count, predicted: Cost) -> None:
    assert predicted.flops == pytest.approx(counted.flops, rel=0.02)
    assert counted.device_bytes <= predicted.device_bytes <= 1.1 * counted.device_bytes
    assert counted.host_bytes <= predicted.host_bytes <= 1.1 * counted.host_bytes


@pytest.mark.parametrize(
    ("height", "width", "piece", "place"),
    [
        (64, 96, 2, "device"),
        (64, 96, 1, "host"),
        (720, 1280, 2, "device"),
        (720, 1280, 2, "host"),
        (720, 1280, 4, "device"),
    ],
)
def test_the_autoencoder_costs_what_the_closed_forms_say(height, width, piece, place):
    on_host = place == "host"
    for count, cost in ((count_encode, encode_cost), (count_decode, decode_cost)):
        check(
            count(VAE, height, width, 5, piece=piece, on_host=on_host),
            cost(VAE, height, width, 5, piece_frames=piece, cache_place=place),
        )


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("latent", "group", "place"),
    [
        ((1, 16, 16), 12288, "device"),
        ((3, 30, 54), 12288, "device"),
        ((3, 30, 54), 300, "host"),
        ((7, 90, 160), 8192, "host"),
        ((25, 90, 160), 12288, "device"),
    ],
)
def test_the_transformer_costs_what_the_closed_forms_say(model, latent, group, place):
    config = MODELS[model]()
    config = replace(config, num_layers=2, mm_layers=1 if model == "3b" else 2)
    check(
        count_dit(config, latent, group=group, on_host=place == "host"),
        dit_cost(config, latent, group_tokens=group, token_place=place),
    )


def test_the_weights_are_those_of_the_released_models():
    assert dit_weights(DiTConfig.seedvr2_3b()) == pytest.approx(3.391e9, rel=1e-3)
    assert dit_weights(DiTConfig.seedvr2_7b()) == pytest.approx(8.240e9, rel=1e-3)
    assert vae_weights(VAE) == pytest.approx(0.2506e9, rel=1e-3)


def plan(device_gib: float, shot_frames: int | None = 97, device: str = "cuda", host_gib: float = 64) -> Plan:
    return make_plan(
        DiTConfig.seedvr2_3b(),
        VAE,
        height=720,
        width=1280,
        shot_frames=shot_frames,
        element_bytes=2,
        machine=Machine(device, int(device_gib * GIB), int(host_gib * GIB)),
    )


def places(made: Plan) -> tuple[str, str, str]:
    return made.cache_place, made.weight_place, made.token_place


def test_less_memory_moves_caches_then_weights_to_the_host_and_no_plan_exceeds_its_budget():
    made = {gib: plan(gib) for gib in (80, 24, 14, 8)}
    assert [places(made[gib]) for gib in (80, 24, 14, 8)] == [
        ("device", "device", "device"),
        ("device", "device", "device"),
        ("host", "device", "device"),
        ("host", "host", "device"),
    ]
    assert all(made[gib].device_bytes <= gib * GIB for gib in made)
    assert all(made[gib].stretch_latents >= 25 for gib in made)
    assert all(made[gib].describe(latents=25).startswith("whole shots, at most") for gib in (80, 24))


def test_a_long_shot_sends_its_tokens_to_the_host_before_it_is_cut():
    made = plan(8, shot_frames=3000)
    assert made.token_place == "host"
    assert made.stretch_latents >= 750


@pytest.mark.parametrize(("gib", "frames"), [(24, 97), (24, 1), (14, 97), (8, 3000)])
def test_a_clip_longer_than_its_container_says_never_outgrows_the_memory(gib, frames):
    made = plan(gib, shot_frames=frames)
    assert made.stretch_latents is not None
    longest = 1 + 4 * (made.stretch_latents - 1)
    assert longest >= frames
    assert plan(gib, shot_frames=longest).device_bytes <= gib * GIB
    same = (made.group_tokens, made.piece_frames, *places(made))
    longer = plan(gib, shot_frames=longest + 4)
    assert (longer.group_tokens, longer.piece_frames, *places(longer)) != same


def test_the_residual_way_is_given_room_for_two_decoded_latents():
    need = {"height": 720, "width": 1280, "shot_frames": 5, "element_bytes": 2}
    machine = Machine("cuda", 80 * GIB, 64 * GIB)
    one, two = (
        make_plan(DiTConfig.seedvr2_3b(), VAE, **need, machine=machine, residual=residual)
        for residual in (False, True)
    )
    cost = decode_cost(VAE, 720, 1280, 5, piece_frames=one.piece_frames)
    assert (one.group_tokens, one.piece_frames) == (two.group_tokens, two.piece_frames)
    assert two.device_bytes - one.device_bytes == pytest.approx(cost.device_bytes, rel=0.02)


def test_a_shot_that_fits_nowhere_is_cut_into_stretches_that_fit():
    made = plan(8, shot_frames=100_000)
    assert made.stretch_latents is not None
    assert made.device_bytes <= 8 * GIB


def test_a_shot_of_unknown_length_gets_a_cap_and_one_latent_more_would_not_fit():
    made = plan(24, shot_frames=None)
    assert made.stretch_latents is not None
    assert made.stretch_latents > 129
    frames = 1 + 4 * made.stretch_latents
    assert places(plan(24, shot_frames=frames - 4)) == places(made)
    longer = plan(24, shot_frames=frames)
    assert (longer.group_tokens, longer.piece_frames, *places(longer)) != (
        made.group_tokens,
        made.piece_frames,
        *places(made),
    )


def test_a_cpu_has_one_memory_and_nothing_moves():
    made = plan(40, device="cpu", host_gib=40)
    assert places(made) == ("device", "device", "device")
    assert made.device_bytes == made.host_bytes <= 40 * GIB


def test_what_fits_nowhere_is_told_with_both_sizes_and_a_remedy():
    with pytest.raises(MemoryBudgetError, match=r"1280x720 needs at least \d+\.\d GiB") as error:
        plan(2)
    assert error.value.remedy


def test_after_running_out_every_plan_differs_and_the_last_step_is_nothing():
    made, seen = plan(80), []
    while made is not None:
        seen.append(made)
        made = smaller(made)
    assert len(set(seen)) == len(seen) > 8
    assert places(seen[-1]) == ("host", "host", "host")
    assert seen[-1].stretch_latents == 4
    assert all(b.group_tokens <= a.group_tokens for a, b in pairwise(seen))


def test_planning_needs_no_torch():
    code = "import seedvr_engine.pipeline.plan, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
