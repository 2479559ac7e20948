"""Checkpoints of small networks, written the ways that released and community files are."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.reference import small_dit, small_vae
from tests.reference_weights import uniform


def dit_state(family: str) -> dict[str, Tensor]:
    """The small DiT of a family ("3b", "7b") as the released files hold it, constant buffers included."""
    model = small_dit(f"seedvr2_{family}")
    state = {key: value.clone() for key, value in model.state_dict().items()}
    for block in range(model.config.num_layers):
        state[f"blocks.{block}.attn.rope.rope.freqs"] = torch.ones(21 if family == "3b" else 10)
    return state


def vae_state() -> dict[str, Tensor]:
    return {key: value.clone() for key, value in small_vae().state_dict().items()}


def save(state: dict[str, Tensor], path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return path


def save_texts(folder: Path, rows: tuple[int, int] = (7, 5), width: int = 96) -> tuple[Path, Path]:
    """pos_emb.pt and neg_emb.pt, bfloat16 like the released ones."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / "pos_emb.pt", folder / "neg_emb.pt"
    for path, length in zip(paths, rows, strict=True):
        torch.save(uniform(path.name, (length, width)).bfloat16(), path)
    return paths


def save_model(root: Path, family: str, name: str = "dit.safetensors") -> Path:
    """DiT, VAE and text embeddings; returns the DiT's path."""
    save(vae_state(), root / "vae.safetensors")
    save_texts(root)
    return save({key: value.half() for key, value in dit_state(family).items()}, root / name)


def with_scales(state: dict[str, Tensor], scale_name: str, per_row: bool) -> dict[str, Tensor]:
    """Matrices as scaled fp8 e4m3, the rest as float16."""
    scaled: dict[str, Tensor] = {"scaled_fp8": torch.zeros(2, dtype=torch.float8_e4m3fn)}
    for key, value in state.items():
        if value.ndim != 2:
            scaled[key] = value.half()
            continue
        largest = value.abs().amax(dim=1, keepdim=True) if per_row else value.abs().amax()
        scale = (largest / 448).float()
        scaled[key] = (value / scale).to(torch.float8_e4m3fn)
        scaled[key.removesuffix(".weight") + scale_name] = scale
    return scaled
