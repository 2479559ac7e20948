"""The numbers that decide whether the networks compute what the released ones do."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from seedvr_engine.models.config import DiTConfig, VAEConfig
from seedvr_engine.models.dit import DiT
from seedvr_engine.models.vae import VideoVAE
from tests.reference_weights import fill

FOLDER = Path(__file__).parent / "data" / "reference"
RELEASED = {"seedvr2_3b": DiTConfig.seedvr2_3b, "seedvr2_7b": DiTConfig.seedvr2_7b}


@cache
def numbers(name: str) -> dict[str, Tensor]:
    return load_file(FOLDER / f"{name}.safetensors")


@cache
def facts(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text())


def small_dit_config(variant: str) -> DiTConfig:
    return replace(RELEASED[variant](), **facts("mini_config")["dit"][variant])


def small_vae_config() -> VAEConfig:
    return VAEConfig(channels=tuple(facts("mini_config")["vae_channels"]))


@cache
def small_dit(variant: str) -> DiT:
    model = DiT(small_dit_config(variant))
    model.load_state_dict(fill(model.state_dict()))
    return model.requires_grad_(False).eval()


@cache
def small_vae() -> VideoVAE:
    model = VideoVAE(small_vae_config())
    model.load_state_dict(fill(model.state_dict()))
    return model.requires_grad_(False).eval()


def relative_error(ours: Tensor, reference: Tensor) -> float:
    """||ours - reference|| / ||reference||."""
    ours, reference = ours.double(), reference.double()
    return float((ours - reference).norm() / reference.norm())
