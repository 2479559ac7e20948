"""All decisions are made without PyTorch, and none promises memory that is not there."""

import subprocess
import sys

import pytest

from seedvr_engine.errors import CheckpointError, UsageError
from seedvr_engine.media.probe import probe
from seedvr_engine.pipeline.choice import candidates, choose_precision
from seedvr_engine.pipeline.forecast import foresee
from seedvr_engine.pipeline.machine import Device, choose_device, cpu, host_bytes, host_free_bytes
from seedvr_engine.pipeline.options import Options
from tests.pipeline.runs import SMALL, clip

FORESEE = """
import sys
from dataclasses import replace
from pathlib import Path
from seedvr_engine.checkpoints import download, find, verify
from seedvr_engine.media import join, probe, read, shots, still, write
from seedvr_engine.pipeline import choice, disk, estimate, forecast, machine, messages, options, plan

info = probe.probe(Path(sys.argv[1]))
for model in ("preview", "3b"):
    foreseen = forecast.foresee(info, options.Options(model=model, size="64x48"))
    print(model, foreseen.model.label, foreseen.model.text_tokens, estimate.estimate(foreseen).seconds > 0)
assert "torch" not in sys.modules, "torch was imported"
"""

H100 = Device("cuda:0", "NVIDIA H100 80GB HBM3", 80 * 2**30, (9, 0))
T4 = Device("cuda:0", "Tesla T4", 15 * 2**30, (7, 5))


def test_the_page_can_foresee_a_restoration_without_importing_torch(tmp_path):
    source = clip(tmp_path / "a.mp4", (4,))
    done = subprocess.run([sys.executable, "-c", FORESEE, source], check=True, capture_output=True, text=True)
    told = [line.split() for line in done.stdout.splitlines()]
    assert [(words[0], words[-2], words[-1]) for words in told] == [
        ("preview", "1", "True"),
        ("3b", "7", "True"),  # The small texts have 7 tokens.
    ]


def test_the_header_tells_the_network_that_is_loaded(checkpoints):
    from seedvr_engine.checkpoints.load import load_dit, load_text, load_vae

    choice = candidates(SMALL, cpu())[0]
    assert choice.files is not None
    assert load_dit(choice.files.dit.path).config == choice.dit
    assert load_vae(choice.files.vae.path).config == choice.vae
    assert len(load_text(choice.files.text_pos, choice.files.text_neg)[0]) == choice.text_tokens


def test_auto_takes_seedvr2_on_a_gpu_and_the_preview_on_a_cpu():
    assert [choice.name for choice in candidates(Options(), H100)] == ["3b", "preview"]
    assert [choice.name for choice in candidates(Options(), cpu())] == ["preview"]


def test_bfloat16_is_for_gpus_that_are_fast_at_it():
    chosen = [choose_precision(Options(), device) for device in (H100, T4, cpu())]
    assert chosen == ["bf16", "fp16", "fp32"]


def test_a_device_that_is_not_there_is_told():
    with pytest.raises(UsageError, match="cuda:63"):
        choose_device("cuda:63")


def test_the_host_has_no_more_free_than_it_has():
    assert 0 < host_free_bytes() <= host_bytes()


def test_a_file_that_is_no_dit_is_refused_before_anything_runs(checkpoints, tmp_path):
    source = clip(tmp_path / "a.mp4", (2,))
    with pytest.raises(CheckpointError):
        foresee(probe(source), Options(model=str(checkpoints / "vae.safetensors")))
