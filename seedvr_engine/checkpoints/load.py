"""Checkpoint files into networks.

A network is built on the meta device, where it costs nothing, and then given its tensors one by one, each
converted on its way: host memory never holds a second copy. A tensor that needs no conversion stays a view
of the mapped file where that is aligned.
"""

import pickle
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from seedvr_engine.checkpoints.inspect import (
    Header,
    damaged,
    is_weight,
    not_supported,
    read_header,
    scale_keys,
    unsupported,
)
from seedvr_engine.checkpoints.shapes import config_of, text_key
from seedvr_engine.models.config import DiTConfig, VAEConfig
from seedvr_engine.models.dit import DiT
from seedvr_engine.models.vae import VideoVAE

_ALIGNMENT_BYTES = 64
_OLD_NAMES = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
_OLD_NAME = re.compile(r"(\.attentions\.\d+\.)(query|key|value|proj_attn)(?=\.)")


@dataclass(frozen=True)
class Loading:
    """How a file fills a network.

    network: on the meta device. stored_keys: parameter of the network -> key in the file, prefix included.
    """

    path: Path
    header: Header
    network: DiT | VideoVAE
    stored_keys: Mapping[str, str]


class _Tensors(Protocol):
    """Tensors of an open file by key."""

    def get_tensor(self, key: str) -> Tensor: ...


def load_dit(path: Path, dtype: torch.dtype = torch.bfloat16, device: torch.device | str = "cpu") -> DiT:
    """Loads a DiT of any size; its configuration is read from the file's keys and shapes.

    dtype: of the weights in memory; fp8 weights are multiplied by their scales. Returns it in eval mode,
    without gradients. Raises CheckpointError for a file that does not fit, naming what differs.
    """
    network = _load(path, dtype, device)
    if not isinstance(network, DiT):
        raise damaged(path, "a DiT was expected, and it holds a VAE")
    return network


def load_vae(path: Path, dtype: torch.dtype = torch.bfloat16, device: torch.device | str = "cpu") -> VideoVAE:
    """Loads a VAE, of the released widths or others; otherwise as `load_dit`."""
    network = _load(path, dtype, device)
    if not isinstance(network, VideoVAE):
        raise damaged(path, "a VAE was expected, and it holds a DiT")
    return network


def load_text(
    positive: Path, negative: Path, dtype: torch.dtype = torch.bfloat16, device: torch.device | str = "cpu"
) -> tuple[Tensor, Tensor]:
    """Loads the positive and the negative text embedding, each (length, width).

    Either path is a `.pt` file of one tensor or a DiT file that holds the embedding. Raises CheckpointError.
    """
    pair = ((positive, "text_pos"), (negative, "text_neg"))
    pos, neg = (_text(path, part).to(device, dtype) for path, part in pair)
    return pos, neg


def plan_loading(path: Path) -> Loading:
    """Reads a file's header, builds the network it describes on the meta device and pairs their keys.

    Raises CheckpointError for a file of something else, with missing, foreign or misshapen tensors, or in a
    format that is not supported yet.
    """
    header = read_header(path)
    why_not = unsupported(header)
    if why_not:
        raise not_supported(path, why_not)
    weights = {_OLD_NAME.sub(_new_name, k): (k, info) for k, info in header.tensors.items() if is_weight(k)}
    with torch.device("meta"):
        network = _build(config_of(path, {key: info for key, (_, info) in weights.items()}))
    ours = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    _compare(path, ours, {key: info.shape for key, (_, info) in weights.items()})
    return Loading(path, header, network, {key: header.prefix + weights[key][0] for key in ours})


def dequantised(weight: Tensor, scale: Tensor | None, dtype: torch.dtype) -> Tensor:
    """An fp8 weight in the dtype of computation: weight * scale, or a plain cast without a scale.

    scale: one number, or one for each output row.
    """
    if scale is None:
        return weight.to(dtype)
    rows = (
        scale.float().reshape(-1, *[1] * (weight.ndim - 1))
        if scale.numel() > 1
        else scale.float().reshape(())
    )
    return (weight.float() * rows).to(dtype)


def _load(path: Path, dtype: torch.dtype, device: torch.device | str) -> DiT | VideoVAE:
    loading = plan_loading(path)
    network = loading.network
    shapes = {key: value.shape for key, value in network.state_dict().items()}
    state = {}
    with _open(path, loading.header) as tensors:
        for key, stored in loading.stored_keys.items():
            tensor = tensors.get_tensor(stored)
            if tensor.dtype in (torch.float8_e4m3fn, torch.float8_e5m2):
                tensor = dequantised(
                    tensor.to(device), _scale(loading.header, tensors, stored, device), dtype
                )
            state[key] = _aligned(tensor.reshape(shapes[key]).to(device, dtype))
    network.load_state_dict(state, assign=True)
    return network.requires_grad_(False).eval()


def _aligned(tensor: Tensor) -> Tensor:
    # safetensors puts numbers at any multiple of 8; kernels are slower there and round differently.
    return tensor if tensor.data_ptr() % _ALIGNMENT_BYTES == 0 else tensor.clone()


def _scale(header: Header, tensors: _Tensors, stored: str, device: torch.device | str) -> Tensor | None:
    plain = stored.removeprefix(header.prefix)
    key = next((key for key in scale_keys(plain) if key in header.tensors), None)
    return tensors.get_tensor(header.prefix + key).to(device) if key else None


class _Pickled:
    """The tensors of a `.pth` file, mapped."""

    def __init__(self, path: Path, wrapper: str) -> None:
        content = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
        content = content[wrapper] if wrapper else content
        self._tensors = {"": content} if isinstance(content, Tensor) else content

    def get_tensor(self, key: str) -> Tensor:
        return self._tensors[key]


@contextmanager
def _open(path: Path, header: Header) -> Iterator[_Tensors]:
    try:
        if header.format == "pth":
            yield _Pickled(path, header.wrapper)
        else:
            with safe_open(path, framework="pt") as tensors:
                yield tensors
    except (OSError, pickle.UnpicklingError, SafetensorError) as error:
        raise damaged(path, f"its tensors cannot be read ({error})") from error


def _text(path: Path, part: str) -> Tensor:
    header = read_header(path)
    key = text_key(path, header, part)
    with _open(path, header) as tensors:
        return tensors.get_tensor(key).clone()


# What a file describes


def _new_name(match: re.Match[str]) -> str:
    return match[1] + _OLD_NAMES[match[2]]


def _build(config: DiTConfig | VAEConfig) -> DiT | VideoVAE:
    return DiT(config) if isinstance(config, DiTConfig) else VideoVAE(config)


def _compare(path: Path, ours: Mapping[str, tuple[int, ...]], stored: Mapping[str, tuple[int, ...]]) -> None:
    """Raises CheckpointError unless keys and shapes agree."""
    missing, foreign = [k for k in ours if k not in stored], [k for k in stored if k not in ours]
    if missing:
        raise damaged(path, f"{len(missing)} of {len(ours)} tensors are missing, {missing[0]} first")
    if foreign:
        raise damaged(path, f"{len(foreign)} tensors belong to no SeedVR2 network, {foreign[0]} first")
    for key, shape in ours.items():
        # Old autoencoders kept the linear layers of their attention as 1x1 convolutions.
        if stored[key] not in (shape, (*shape, 1, 1)):
            raise damaged(path, f"{key} has shape {stored[key]}, expected {shape}")
