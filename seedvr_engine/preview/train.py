"""Trains the preview model on drawn clips: `python -m seedvr_engine.preview.train --minutes 90`.

Both networks are trained together, end to end in pixels. The loss of a clip is the logarithm of its squared
error, which is its PSNR: every clip counts alike, however damaged. Beside it stands the autoencoder's error:
its logarithm at first, which makes an autoencoder quickly; then the plain error, as the logarithm's gradient
is a hundred times the restoration's and would drown it. The weights kept are an exponential average.
"""

import csv
import math
import os
import tempfile
import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import torch.distributed as dist
import typer
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from seedvr_engine.models.causal import CausalConv3d
from seedvr_engine.models.modulation import Modulation
from seedvr_engine.preview.config import SCALE
from seedvr_engine.preview.model import WEIGHTS, Preview
from seedvr_engine.preview.pool import load_pool
from seedvr_engine.preview.tensors import resize, to_video

LOG_STEPS = 25
LOG_COLUMNS = ("loss", "gain_db", "autoencoder_psnr_db", "latent_deviation", "gradient")
CHECKPOINT_S = 90.0
CONFIDENCE = 0.85
"""Drawn clips make the model over-confident on photographs: under heavy compression, fine texture is better
off with a third of the change. Where the change is right, little is lost: that loss grows with the square."""
ERROR_FLOOR = 1e-5
"""Added to squared errors in [-1, 1] before the logarithm: below it a clip is good enough."""


@dataclass(frozen=True)
class Recipe:
    """One training's numbers.

    clips: of a batch, per process. frames, size: of a crop, in clean pixels. rate: peak learning rate.
    warmup_steps: over which the rate rises. clip_norm: of the gradient. ema: decay per step of the average.
    autoencoder_share: of the time, in which the autoencoder comes first. autoencoder_log_weight and
    autoencoder_weight: of its loss then and later. deviation_weight: of what keeps latents at deviation 1.
    """

    clips: int = 2
    frames: int = 4
    size: int = 96
    rate: float = 1.5e-3
    warmup_steps: int = 60
    clip_norm: float = 0.5
    ema: float = 0.998
    autoencoder_share: float = 0.25
    autoencoder_log_weight: float = 0.1
    autoencoder_weight: float = 1.0
    deviation_weight: float = 0.01


class Trainer:
    """The model under training, its average and its optimiser; everything that a checkpoint holds."""

    def __init__(self, recipe: Recipe, seed: int) -> None:
        torch.manual_seed(seed)
        self.recipe = recipe
        self.model = initialise(Preview())
        self.average = {key: value.clone() for key, value in self.model.state_dict().items()}
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(), recipe.rate, betas=(0.9, 0.99), weight_decay=0.0
        )
        self.steps = self.first_step = 0
        self.minutes = 0.0

    def step(self, clean: np.ndarray, damaged: np.ndarray, progress: float) -> dict[str, float]:
        """One optimisation step.

        clean, damaged: a batch of crops, see `Pool.crop`. progress: 0 to 1, where the schedule stands.
        Returns what the log holds, averages over the batch.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate(progress)
        target, video = to_video(clean), resize(damaged)
        loss, log = self.loss(video, target, progress)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self._average_gradients()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip_norm)
        if torch.isfinite(norm):
            self.optimiser.step()
        self.steps += 1
        self._update_average()
        return log | {"gradient": norm.item()}

    def loss(self, video: Tensor, target: Tensor, progress: float) -> tuple[Tensor, dict[str, float]]:
        """video: enlarged damaged clips, target: clean ones, (B, 3, F, H, W) in [-1, 1]."""
        latent_power: list[Tensor] = []
        restored, decoded = self.model(video, watch_latent=latent_power.append)
        error, before = _squared_error(restored, target), _squared_error(video, target)
        own = _squared_error(decoded, video)
        restoring = (error + ERROR_FLOOR).log().mean()
        if progress < self.recipe.autoencoder_share:
            keeping = self.recipe.autoencoder_log_weight * (own + ERROR_FLOOR).log().mean()
        else:
            keeping = self.recipe.autoencoder_weight * own.mean()
        deviation = (latent_power[0] - 1).square()
        loss = restoring + keeping + self.recipe.deviation_weight * deviation
        with torch.no_grad():
            log = {
                "loss": loss.item(),
                "gain_db": (before / error).log10().mean().item() * 10,
                "autoencoder_psnr_db": 10 * (4 / own).log10().mean().item(),
                "latent_deviation": latent_power[0].sqrt().item(),
            }
        return loss, log

    def rate(self, progress: float) -> float:
        """Learning rate: a linear rise over the first steps, half a cosine down to 1 % over the time."""
        rise = min(1.0, (self.steps - self.first_step + 1) / self.recipe.warmup_steps)
        return self.recipe.rate * rise * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))))

    def save(self, folder: Path) -> None:
        """Writes the checkpoint and the averaged weights, each under its name when whole."""
        state: dict[str, Any] = {"model": self.model.state_dict(), "optimiser": self.optimiser.state_dict()}
        state |= {"average": self.average, "steps": self.steps, "minutes": self.minutes}
        torch.save(state, folder / "checkpoint.part")
        (folder / "checkpoint.part").rename(folder / "checkpoint.pt")
        save_file(self.average, folder / "weights.part", metadata={"steps": str(self.steps)})
        (folder / "weights.part").rename(folder / "weights.safetensors")

    def load(self, folder: Path) -> None:
        """Goes on from the checkpoint in `folder`."""
        state = torch.load(folder / "checkpoint.pt", weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.average, self.minutes = state["average"], state["minutes"]
        self.steps = self.first_step = state["steps"]

    def _average_gradients(self) -> None:
        if not dist.is_initialized():
            return
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient)).div_(dist.get_world_size())

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.recipe.ema, (1 + self.steps) / (10 + self.steps))
        for key, value in self.model.state_dict().items():
            self.average[key].lerp_(value, 1 - decay)


@torch.no_grad()
def initialise(model: Preview) -> Preview:
    """Weights that keep a signal's size without norms, latents of deviation 1, a start at the condition."""
    for name, module in model.vae.named_modules():
        if isinstance(module, CausalConv3d):
            gain = 0.5 if name.endswith("conv2") else 1.3 if name.endswith("conv1") else 1.0
            nn.init.normal_(module.weight, std=gain / math.sqrt(module.weight[0].numel()))
            assert module.bias is not None
            nn.init.zeros_(module.bias)
    for module in model.dit.modules():
        if isinstance(module, Modulation):
            for gate in (module.get_parameter("attn_gate"), module.get_parameter("mlp_gate")):
                gate.fill_(1.0)
    for layer in (model.dit.emb_in.proj_out, model.dit.vid_out.proj):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    grey = 0.5 * torch.randn(1, 3, 2, 64, 64)
    latent = model.vae.encode(grey)[0]
    model.vae.encoder.conv_out.weight.div_(latent.std())
    return model


def export(weights: Path, output: Path) -> None:
    """Writes trained weights as they are used: with the change that they make to a latent at `CONFIDENCE`."""
    state = load_file(weights)
    for key in ("dit.vid_out.proj.weight", "dit.vid_out.proj.bias"):
        state[key] *= CONFIDENCE
    partial = output.with_suffix(".part")
    save_file(state, partial, metadata={"model": "preview", "scale": str(SCALE)})
    partial.chmod(0o644)
    partial.rename(output)


@dataclass(frozen=True)
class Run:
    """What `main` was asked for; the same for every process."""

    recipe: Recipe
    seed: int
    minutes: float
    clips: int
    work: Path
    go_on: bool
    processes: int


def train(run: Run) -> Path:
    """Draws the pool, trains for the time given, and returns the path of the averaged weights.

    One process of one thread per core, each with its own crops, gradients averaged: where the machine has
    other work too, threads that wait for one another in every layer are several times slower.
    """
    load_pool(run.work / "pool", run.clips, run.seed, run.processes)
    with tempfile.TemporaryDirectory() as meeting:
        torch.multiprocessing.spawn(_train_process, (run, f"file://{meeting}/store"), run.processes)
    return run.work / "weights.safetensors"


def _train_process(rank: int, run: Run, store: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=run.processes)
    pool = load_pool(run.work / "pool", run.clips, run.seed, run.processes)
    trainer = Trainer(run.recipe, run.seed)
    if run.go_on:
        trainer.load(run.work)
    rng = np.random.default_rng((run.seed, rank, trainer.steps))
    with TrainingLog(run, trainer, enabled=rank == 0) as log:
        while (progress := log.progress()) < 1:
            clean, damaged = pool.crop(rng, run.recipe.clips, run.recipe.frames, run.recipe.size)
            log.add(trainer.step(clean, damaged, progress))
    dist.destroy_process_group()


class TrainingLog:
    """The clock of the training, its log and its checkpoints; all but the clock in the first process only."""

    def __init__(self, run: Run, trainer: Trainer, enabled: bool) -> None:
        self.run, self.trainer, self.enabled = run, trainer, enabled
        self.saved = time.monotonic()
        self.start = self.saved - 60 * trainer.minutes
        self.sums: dict[str, float] = defaultdict(float)

    def __enter__(self) -> "TrainingLog":
        if self.enabled:
            parameters = sum(p.numel() for p in self.trainer.model.parameters())
            print(f"{parameters:,} parameters, {asdict(self.run.recipe)}", flush=True)
            self.file = (self.run.work / "log.csv").open("a" if self.run.go_on else "w", newline="")
            self.rows = csv.writer(self.file)
            if not self.run.go_on:
                self.rows.writerow(["step", "minutes", "rate", *LOG_COLUMNS])
        return self

    def __exit__(self, *exception: object) -> None:
        if self.enabled:
            self.trainer.save(self.run.work)
            self.file.close()

    def progress(self) -> float:
        """Share of the time that is over, the first process's, so that all stop together."""
        clock = torch.tensor((time.monotonic() - self.start) / (60 * self.run.minutes))
        dist.broadcast(clock, 0)
        return clock.item()

    def add(self, values: dict[str, float]) -> None:
        """Takes one step's figures."""
        if not self.enabled:
            return
        self.trainer.minutes = minutes = (time.monotonic() - self.start) / 60
        for key, value in values.items():
            self.sums[key] += value / LOG_STEPS
        if self.trainer.steps % LOG_STEPS == 0:
            figures = [
                minutes,
                self.trainer.rate(minutes / self.run.minutes),
                *(self.sums[key] for key in LOG_COLUMNS),
            ]
            self.rows.writerow([self.trainer.steps, *(f"{figure:.5g}" for figure in figures)])
            self.file.flush()
            self.sums.clear()
        if time.monotonic() - self.saved > CHECKPOINT_S:
            self.trainer.save(self.run.work)
            self.saved = time.monotonic()


def _squared_error(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().mean(dim=(1, 2, 3, 4))


def main(
    minutes: Annotated[
        float, typer.Option(help="How long to train; the learning rate falls over this time.")
    ] = 90,
    clips: Annotated[int, typer.Option(help="Drawn clips in the pool, 1 MB each.")] = 1200,
    seed: Annotated[int, typer.Option(help="Of the clips, the weights and the crops.")] = 1,
    work: Annotated[Path, typer.Option(help="Folder for the pool, the log and checkpoints.")] = Path(
        "preview_training"
    ),
    output: Annotated[Path, typer.Option(help="Where the trained weights go.")] = WEIGHTS,
    go_on: Annotated[
        bool, typer.Option("--continue", help="Go on from the checkpoint in the work folder.")
    ] = False,
) -> None:
    """Trains the preview model and writes its weights."""
    work.mkdir(parents=True, exist_ok=True)
    weights = train(Run(Recipe(), seed, minutes, clips, work, go_on, len(os.sched_getaffinity(0))))
    export(weights, output)
    print(f"Wrote {output}.")


if __name__ == "__main__":
    typer.run(main)
