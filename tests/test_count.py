"""What the counter says, and the memory limits that the models keep."""

from dataclasses import replace

import pytest
import torch

from benchmarks.count import MODELS, count_decode, count_dit, count_encode, shapes_alone
from benchmarks.ledger import DEVICE, HOST, Ledger
from seedvr_engine.models.config import VAEConfig

GIB = 2**30
FRAMES_97 = (25, 90, 160)


def test_a_storage_counts_once_from_birth_to_death_wherever_it_lies():
    with shapes_alone(on_host=True), Ledger() as ledger:
        a = torch.empty(1000)
        view = a.view(10, 100)[1:]
        del a
        assert ledger.live[DEVICE] == 2000
        kept = view.to(HOST)
        del view
        assert (ledger.live[DEVICE], ledger.live[HOST]) == (0, 1800)
        assert (ledger.peak[DEVICE], ledger.peak[HOST]) == (2000, 1800)
        del kept
        assert ledger.live[HOST] == 0


def test_products_and_attention_count_two_flops_for_each_product_and_no_scores():
    with shapes_alone(on_host=False):
        weight = torch.empty(64, 32)
        with Ledger([weight]) as ledger:
            torch.nn.functional.linear(torch.empty(10, 32), weight)
            assert ledger.flops == 2 * 10 * 32 * 64
            query = torch.empty(1, 2, 1000, 16)
            before, made = ledger.flops, ledger.live[DEVICE]
            torch.nn.functional.scaled_dot_product_attention(query, query, query)
            assert ledger.flops - before == 4 * 2 * 1000 * 1000 * 16
            assert ledger.peak[DEVICE] - made == 1000 * 2 * 16 * 2 + 1000 * 2 * 4


@pytest.mark.parametrize("frames", [5, 13])
def test_the_streams_at_720p_keep_their_limits_whatever_the_length(frames):
    vae = VAEConfig()
    assert count_decode(vae, 720, 1280, frames).device_bytes <= 13 * GIB
    assert count_encode(vae, 720, 1280, frames).device_bytes <= 7 * GIB


def test_a_decode_of_1080p_with_caches_in_host_memory_keeps_12_gib_on_the_device():
    counted = count_decode(VAEConfig(), 1088, 1920, 5, on_host=True)
    assert counted.device_bytes <= 12 * GIB
    assert counted.host_bytes > 12 * GIB


@pytest.mark.parametrize(("model", "workspace"), [("3b", 1.5), ("7b", 2.0)])
def test_a_pass_over_97_frames_of_720p_needs_its_tokens_and_the_workspace_of_one_group(model, workspace):
    # Blocks come and go one after another, so two of them (regular and shifted windows) tell the peak.
    config = replace(MODELS[model](), num_layers=2, mm_layers=2)
    tokens = 25 * 45 * 80 * config.vid_dim * 2
    assert count_dit(config, FRAMES_97).device_bytes <= tokens + workspace * GIB
