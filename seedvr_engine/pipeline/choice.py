"""Which model restores, and how exactly it computes. Knows no torch: headers of files tell all of it."""

import hashlib
from dataclasses import dataclass
from typing import Literal

from seedvr_engine.checkpoints.catalog import MODELS
from seedvr_engine.checkpoints.find import ModelFiles, available_models, choose, find_checkpoints
from seedvr_engine.checkpoints.inspect import damaged
from seedvr_engine.checkpoints.shapes import network_config, text_length
from seedvr_engine.models.config import DiTConfig, VAEConfig
from seedvr_engine.pipeline.machine import Device
from seedvr_engine.pipeline.options import Options
from seedvr_engine.preview import config as preview_config
from seedvr_engine.settings import get_settings

PREVIEW = "preview"
PREVIEW_LABEL = "preview (the small built-in model, not SeedVR2)"
BEST_FIRST = tuple(reversed(MODELS))
ELEMENT_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}


@dataclass(frozen=True)
class ModelChoice:
    """What is known of a model before its weights are in memory.

    name: "preview", one of the released ones, or the stem of a file. label: the name for people.
    files: None for the preview. detail: the model's own way to the output. noisy: whether it starts from
        noise.
    fingerprint: changes when the weights do.
    pass_latents: a longer shot is cut into stretches of so many, as nothing in the model reaches further;
        None where a whole shot is worth its memory.
    """

    name: str
    label: str
    dit: DiTConfig
    vae: VAEConfig
    detail: Literal["decoded", "residual"]
    noisy: bool
    text_tokens: int
    fingerprint: str
    files: ModelFiles | None = None
    pass_latents: int | None = None


def choose_precision(options: Options, device: Device) -> str:
    """Name of the precision: bf16 where the device is fast at it, else fp32."""
    if options.precision != "auto":
        return options.precision
    if device.type == "cuda":
        return "bf16" if device.has_bf16 else "fp16"
    return "fp32"


def candidates(options: Options, device: Device) -> list[ModelChoice]:
    """The models to try, best first; the first that fits is taken.

    A named model stands alone. "auto" takes every SeedVR2 that is present, the 7B before the 3B, then the
    preview; on a CPU, where SeedVR2 takes hours for seconds of video, the preview alone.
    Raises CheckpointError for a named model that is not there.
    """
    if options.model == PREVIEW:
        return [preview_choice()]
    if options.model != "auto":
        return [_released(options.model, choose(options.model, find_checkpoints(get_settings().ckpts)))]
    if device.type == "cpu":
        return [preview_choice()]
    found = find_checkpoints(get_settings().ckpts)
    present = available_models(found)
    # The sharp variant is a matter of taste, never a default.
    names = [name for name in BEST_FIRST if name in present and not name.endswith("sharp")]
    return [*(_released(name, choose(name, found)) for name in names), preview_choice()]


def preview_choice() -> ModelChoice:
    """The built-in model."""
    return ModelChoice(
        PREVIEW,
        PREVIEW_LABEL,
        preview_config.dit_config(),
        preview_config.vae_config(),
        preview_config.DETAIL,
        noisy=False,
        text_tokens=preview_config.TEXT_SHAPE[0],
        fingerprint=hashlib.sha256(preview_config.WEIGHTS.read_bytes()).hexdigest(),
        pass_latents=preview_config.PASS_LATENTS,
    )


def _released(name: str, files: ModelFiles) -> ModelChoice:
    dit, vae = network_config(files.dit.path), network_config(files.vae.path)
    if not isinstance(dit, DiTConfig):
        raise damaged(files.dit.path, "a DiT was expected, and it holds a VAE")
    if not isinstance(vae, VAEConfig):
        raise damaged(files.vae.path, "a VAE was expected, and it holds a DiT")
    stats = [path.stat() for path in (files.dit.path, files.vae.path, files.text_pos, files.text_neg)]
    fingerprint = "/".join(f"{stat.st_size}-{stat.st_mtime_ns}" for stat in stats)
    known = name if name in MODELS else files.dit.path.stem
    return ModelChoice(
        known,
        f"SeedVR2 {files.dit.model or known}",
        dit,
        vae,
        "decoded",
        noisy=True,
        text_tokens=text_length(files.text_pos, "text_pos"),
        fingerprint=fingerprint,
        files=files,
    )
