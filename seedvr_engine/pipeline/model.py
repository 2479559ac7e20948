"""Brings a model into memory."""

from dataclasses import dataclass

import torch
from torch import Tensor

from seedvr_engine.checkpoints.load import load_dit, load_text, load_vae
from seedvr_engine.errors import MemoryBudgetError
from seedvr_engine.models.dit import DiT
from seedvr_engine.models.vae import VideoVAE
from seedvr_engine.pipeline.choice import ModelChoice
from seedvr_engine.pipeline.heap import give_back_gpu
from seedvr_engine.pipeline.machine import set_held
from seedvr_engine.preview.model import load_preview

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


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


@dataclass(frozen=True)
class _Kept:
    """A model that waits for the next restoration. on_host: where its transformer's blocks lie."""

    model: Model
    on_host: bool


# One at most.
_kept: list[_Kept] = []


def take(choice: ModelChoice, device: torch.device, precision: str, *, weights_on_host: bool) -> Model:
    """The model that was kept, where it is the one that is wanted, else loaded anew; arguments as below."""
    waiting = _kept[0] if _kept else None
    drop()
    if waiting is not None:
        model = waiting.model
        wanted = (choice, device, DTYPES[precision], weights_on_host)
        if (model.choice, model.device, model.dtype, waiting.on_host) == wanted:
            return model
        del model, waiting
        give_back_gpu()
    return load_model(choice, device, precision, weights_on_host=weights_on_host)


def keep(model: Model, *, weights_on_host: bool) -> None:
    """Keeps a model for the next restoration of this process; its memory counts as free until then."""
    _kept[:] = [_Kept(model, weights_on_host)]
    held: dict[str, int] = {}
    for network in (model.dit, model.vae):
        for parameter in network.parameters():
            name = str(parameter.device)
            held[name] = held.get(name, 0) + parameter.numel() * parameter.element_size()
    set_held(held)


def drop() -> None:
    """Lets the kept model go."""
    _kept.clear()
    set_held({})


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
    """Moves the transformer's blocks to host memory, pinned where there is a GPU, one block at a time."""
    for block in dit.blocks:
        parameters = list(block.parameters())
        sizes = [parameter.numel() for parameter in parameters]
        # One piece of memory for the whole block: PyTorch rounds every pinned one up to a power of two.
        host = torch.empty(sum(sizes), dtype=parameters[0].dtype, pin_memory=torch.cuda.is_available())
        for parameter, part in zip(parameters, host.split(sizes), strict=True):
            parameter.data = part.view(parameter.shape).copy_(parameter.data)
