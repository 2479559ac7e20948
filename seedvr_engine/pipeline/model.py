"""Which model restores, and loading it."""

import hashlib
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from seedvr_engine.checkpoints.catalog import MODELS
from seedvr_engine.checkpoints.find import ModelFiles, available_models, choose, find_checkpoints
from seedvr_engine.checkpoints.load import load_dit, load_text, load_vae, plan_loading
from seedvr_engine.errors import MemoryBudgetError, UsageError
from seedvr_engine.models.config import DiTConfig, VAEConfig
from seedvr_engine.models.dit import DiT
from seedvr_engine.models.vae import VideoVAE
from seedvr_engine.pipeline.options import Options
from seedvr_engine.preview import config as preview_config
from seedvr_engine.preview.model import WEIGHTS as PREVIEW_WEIGHTS
from seedvr_engine.preview.model import load_preview
from seedvr_engine.settings import get_settings

PREVIEW = "preview"
PREVIEW_LABEL = "preview (the small built-in model, not SeedVR2)"
BEST_FIRST = tuple(reversed(MODELS))

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


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


@dataclass(frozen=True)
class Model:
    """Networks and text embeddings in memory, ready to restore."""

    choice: ModelChoice
    dit: DiT
    vae: VideoVAE
    text_pos: Tensor
    text_neg: Tensor
    device: torch.device
    dtype: torch.dtype


def choose_device(name: str) -> torch.device:
    """ "auto" takes the first GPU, else the CPU. Raises UsageError for a device that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            f"There is no device {name!r} here.", remedy="Leave `--device` out, or say cpu or cuda."
        ) from error
    return device


def choose_precision(options: Options, device: torch.device) -> str:
    """Name of the precision: bf16 where the device is fast at it, else fp32."""
    if options.precision != "auto":
        return options.precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return "fp32"


def candidates(options: Options, device: torch.device) -> list[ModelChoice]:
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
        fingerprint=hashlib.sha256(PREVIEW_WEIGHTS.read_bytes()).hexdigest(),
        pass_latents=preview_config.PASS_LATENTS,
    )


def _released(name: str, files: ModelFiles) -> ModelChoice:
    dit, vae = plan_loading(files.dit.path).network.config, plan_loading(files.vae.path).network.config
    assert isinstance(dit, DiTConfig)
    assert isinstance(vae, VAEConfig)
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
        text_tokens=len(load_text(files.text_pos, files.text_neg)[0]),
        fingerprint=fingerprint,
        files=files,
    )


def load_model(choice: ModelChoice, device: torch.device, precision: str, *, weights_on_host: bool) -> Model:
    """Brings a model into memory.

    weights_on_host: the transformer's blocks stay in host memory and visit the device one at a time.
    Raises CheckpointError for damaged files, MemoryBudgetError when the weights do not fit.
    """
    dtype = DTYPES[precision]
    # Asked for float32, nobody expects 10 bits of it.
    torch.backends.cudnn.allow_tf32 = dtype != torch.float32
    try:
        if choice.files is None:
            dit, vae, text = load_preview(device, dtype)
            return Model(choice, dit, vae, text, text, device, dtype)
        files = choice.files
        dit = load_dit(files.dit.path, dtype, "cpu" if weights_on_host else device)
        if weights_on_host:
            for name, child in dit.named_children():
                child.to("cpu" if name == "blocks" else device)
            blocks_to_host(dit)
        vae = load_vae(files.vae.path, dtype, device)
        texts = load_text(files.text_pos, files.text_neg, dtype, device)
    except torch.OutOfMemoryError as error:
        raise MemoryBudgetError(
            f"The weights of {choice.label} do not fit into the memory of {device}.",
            remedy="Choose a smaller model, or free the GPU of other programs.",
        ) from error
    return Model(choice, dit.eval(), vae.eval(), *texts, device, dtype)


def blocks_to_host(dit: DiT) -> None:
    """Moves the transformer's blocks to host memory, pinned where there is a GPU, one tensor at a time."""
    for parameter in dit.blocks.parameters():
        host = parameter.data.to("cpu")
        parameter.data = host.pin_memory() if torch.cuda.is_available() else host
