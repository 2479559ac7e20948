"""Which network a checkpoint's keys and shapes describe. Knows no torch."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from seedvr_engine.checkpoints.inspect import (
    TEXT_KEYS,
    Header,
    TensorInfo,
    damaged,
    identify,
    is_weight,
    not_supported,
    read_header,
    unsupported,
)
from seedvr_engine.models.config import DiTConfig, VAEConfig


def network_config(path: Path) -> DiTConfig | VAEConfig:
    """The configuration of the network in a file, from its header alone.

    Raises CheckpointError for a file of something else, or in a format that is not supported yet.
    """
    header = read_header(path)
    why_not = unsupported(header)
    if why_not:
        raise not_supported(path, why_not)
    return config_of(path, {key: info for key, info in header.tensors.items() if is_weight(key)})


def config_of(path: Path, weights: Mapping[str, TensorInfo]) -> DiTConfig | VAEConfig:
    """The configuration that weights describe; raises CheckpointError, which names `path`, for others."""
    identity = identify(weights)
    try:
        if identity and identity.part == "dit":
            return dit_config(weights, identity.family)
        if identity and identity.part == "vae":
            return vae_config(weights)
    except (KeyError, IndexError, ValueError, ZeroDivisionError) as error:
        raise damaged(path, f"its keys and shapes fit no network ({error})") from error
    raise damaged(path, "it holds none of SeedVR2's networks")


def dit_config(weights: Mapping[str, TensorInfo], family: str) -> DiTConfig:
    """The configuration of a DiT, from its shapes. family: "3b" or "7b". Raises KeyError for missing keys."""
    base = {"3b": DiTConfig.seedvr2_3b, "7b": DiTConfig.seedvr2_7b}[family]()
    layers = 1 + max(int(key.split(".")[1]) for key in weights if key.startswith("blocks."))
    if layers > len(weights):
        raise ValueError(f"block {layers - 1} is there and others are not")
    separate = sum(f"blocks.{index}.attn.proj_qkv.vid.weight" in weights for index in range(layers))
    stream = "vid" if separate else "all"
    head_dim = weights[f"blocks.0.attn.norm_q.{stream}.weight"].shape[0]
    return replace(
        base,
        vid_dim=weights["vid_in.proj.weight"].shape[0],
        txt_dim=weights["txt_in.weight"].shape[0],
        txt_in_dim=weights["txt_in.weight"].shape[1],
        emb_dim=weights["emb_in.proj_out.weight"].shape[0],
        heads=weights[f"blocks.0.attn.proj_qkv.{stream}.weight"].shape[0] // (3 * head_dim),
        head_dim=head_dim,
        num_layers=layers,
        mm_layers=separate if separate < layers else max(base.mm_layers, layers),
    )


def vae_config(weights: Mapping[str, TensorInfo]) -> VAEConfig:
    """The configuration of a VAE, from its shapes. Raises KeyError for missing keys."""
    stages = len(VAEConfig().channels)
    return replace(
        VAEConfig(),
        channels=tuple(
            weights[f"encoder.down_blocks.{stage}.resnets.0.conv1.weight"].shape[0] for stage in range(stages)
        ),
        latent_channels=weights["decoder.conv_in.weight"].shape[1],
    )


def text_key(path: Path, header: Header, part: str) -> str:
    """The key of a text embedding in a file. part: "text_pos" or "text_neg".

    Raises CheckpointError for a file without it.
    """
    key = "" if "" in header.tensors else TEXT_KEYS[part]
    if key not in header.tensors or len(header.tensors[key].shape) != 2:
        sign = "positive" if part == "text_pos" else "negative"
        raise damaged(path, f"it holds no {sign} text embedding (length, width)")
    return key


def text_length(path: Path, part: str) -> int:
    """Tokens of a text embedding, from the header alone. Raises CheckpointError like `text_key`."""
    header = read_header(path)
    return header.tensors[text_key(path, header, part)].shape[0]
