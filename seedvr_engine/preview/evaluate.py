"""Measures the preview on held-out pictures: `python -m seedvr_engine.preview.evaluate`.

Five pictures as slow pans, four kinds of damage each, against bicubic enlarging and against the best linear
filter of 9x9 pixels that the training clips yield.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import torch
import typer
from skimage.metrics import structural_similarity
from torch import Tensor

from seedvr_engine.preview.damage import KINDS, Damage, damage
from seedvr_engine.preview.held_out import NAMES, held_out_clip
from seedvr_engine.preview.model import WEIGHTS, Preview, load
from seedvr_engine.preview.pool import draw_pair
from seedvr_engine.preview.tensors import resize

NOISE_SEED = 7
FILTER_RADIUS = 4
FILTER_CLIPS = 160
Restore = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Score:
    """One method on one clip.

    psnr_db: over all frames and channels. ssim: of luma, averaged over frames. change_error: root mean square
        error of the change from frame to frame, in steps of 1/255.
    """

    psnr_db: float
    ssim: float
    change_error: float


@dataclass(frozen=True)
class Comparison:
    """One clip under one damage, by method: "bicubic", "linear", "preview"."""

    kind: str
    picture: str
    scores: dict[str, Score]

    def gain_db(self, method: str = "preview") -> float:
        """PSNR over bicubic."""
        return self.scores[method].psnr_db - self.scores["bicubic"].psnr_db


def compare(
    methods: dict[str, Restore],
    kinds: dict[str, Damage] | None = None,
    names: tuple[str, ...] = NAMES,
    frames: int = 8,
) -> list[Comparison]:
    """Scores every method, bicubic too, on every picture under every kind of damage.

    methods: each takes enlarged clips (1, 3, F, H, W) in [-1, 1] and returns its version of them.
    """
    comparisons = []
    for kind, how in (kinds or KINDS).items():
        for index, name in enumerate(names):
            clean = held_out_clip(name, frames)
            enlarged = resize(damage(clean, how, np.random.default_rng((NOISE_SEED, index)))[None])
            with torch.inference_mode():
                results = {"bicubic": enlarged} | {key: method(enlarged) for key, method in methods.items()}
            scores = {key: score(clean, to_pixels(result)) for key, result in results.items()}
            comparisons.append(Comparison(kind, name, scores))
    return comparisons


def score(clean: np.ndarray, other: np.ndarray) -> Score:
    """Both (F, H, W, 3) uint8."""
    error = other.astype(np.float32) - clean
    luma = [[cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in clip] for clip in (clean, other)]
    similarity = [
        structural_similarity(
            a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
        )
        for a, b in zip(*luma, strict=True)
    ]
    return Score(
        psnr_db=float(10 * np.log10(255**2 / np.square(error).mean())),
        ssim=float(np.mean(similarity)),
        change_error=float(np.sqrt(np.square(np.diff(error, axis=0)).mean())),
    )


def to_pixels(video: Tensor) -> np.ndarray:
    """(1, 3, F, H, W) in [-1, 1] -> (F, H, W, 3) uint8, as a file would hold it."""
    return ((video[0].clamp(-1, 1) + 1) * 127.5).round().byte().movedim(0, -1).numpy()


def fit_linear_filter(seed: int = 1, clips: int = FILTER_CLIPS, samples: int = 4000) -> Tensor:
    """The 9x9 filter that leaves the least squared error on drawn clips, one for all channels: (9, 9)."""
    side = 2 * FILTER_RADIUS + 1
    rng = np.random.default_rng(seed)
    gram, right = np.zeros((side**2, side**2)), np.zeros(side**2)
    for index in range(clips):
        clean, small = draw_pair(seed, index)
        frame = rng.integers(len(clean))
        enlarged = resize(small[None, frame : frame + 1])[0, :, 0].numpy().astype(np.float64)
        wanted = clean[frame].transpose(2, 0, 1) / 127.5 - 1
        patches = np.lib.stride_tricks.sliding_window_view(enlarged, (side, side), axis=(1, 2))
        _, height, width = patches.shape[:3]
        c, y, x = (
            rng.integers(3, size=samples),
            rng.integers(height, size=samples),
            rng.integers(width, size=samples),
        )
        chosen = patches[c, y, x].reshape(samples, -1)
        gram += chosen.T @ chosen
        right += chosen.T @ wanted[c, y + FILTER_RADIUS, x + FILTER_RADIUS]
    gram, right = _mirrored(gram, right, side)
    kernel = np.linalg.solve(gram + 1e-6 * np.trace(gram) / side**2 * np.eye(side**2), right)
    return torch.from_numpy(kernel.reshape(side, side)).float()


def _mirrored(gram: np.ndarray, right: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The normal equations of the same samples, mirrored and turned too: a picture's sides are all alike."""
    grid = np.arange(side**2).reshape(side, side)
    orders = [turned[::y, ::x].ravel() for turned in (grid, grid.T) for y in (1, -1) for x in (1, -1)]
    return (
        np.sum([gram[np.ix_(order, order)] for order in orders], axis=0),
        np.sum([right[order] for order in orders], axis=0),
    )


def linear_filter(kernel: Tensor) -> Restore:
    """Applies a filter to every channel of a clip, edges replicated."""

    def apply(video: Tensor) -> Tensor:
        pictures = video.transpose(1, 2).flatten(0, 2).unsqueeze(1)
        padded = torch.nn.functional.pad(pictures, (FILTER_RADIUS,) * 4, mode="replicate")
        out = torch.nn.functional.conv2d(padded, kernel[None, None])
        return out.view(video.shape[0], video.shape[2], 3, *video.shape[3:]).transpose(1, 2)

    return apply


def with_preview(model: Preview) -> Restore:
    """Restores as the pipeline does, without colour correction."""
    return lambda video: model(video)[0]


def table(comparisons: list[Comparison]) -> str:
    """Means per kind of damage, as Markdown."""
    lines = [
        "| damage | PSNR of bicubic | of the linear filter | of the preview | least of a picture "
        "| SSIM: bicubic, preview | change error: bicubic, preview |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for kind in dict.fromkeys(c.kind for c in comparisons):
        of_kind = [c for c in comparisons if c.kind == kind]
        base, ours = ([c.scores[method] for c in of_kind] for method in ("bicubic", "preview"))
        worst = min(of_kind, key=Comparison.gain_db)
        lines.append(
            f"| {kind} | {_mean(s.psnr_db for s in base):.2f} dB"
            f" | {_mean(c.gain_db('linear') for c in of_kind):+.2f} dB"
            f" | {_mean(c.gain_db() for c in of_kind):+.2f} dB | {worst.gain_db():+.2f} dB ({worst.picture})"
            f" | {_mean(s.ssim for s in base):.4f}, {_mean(s.ssim for s in ours):.4f}"
            f" | {_mean(s.change_error for s in base):.2f}, {_mean(s.change_error for s in ours):.2f} |"
        )
    return "\n".join(lines)


def draw_picture(
    model: Preview, path: Path, kinds: tuple[str, ...] = ("old film", "soft", "phone", "heavy")
) -> None:
    """Writes a sheet: a row per kind; columns damaged (bicubic), restored, original; twice the size."""
    rows = []
    for kind, name in zip(kinds, ("astronaut", "chelsea", "coffee", "rocket"), strict=True):
        clean = held_out_clip(name)
        enlarged = resize(
            damage(clean, KINDS[kind], np.random.default_rng((NOISE_SEED, NAMES.index(name))))[None]
        )
        with torch.inference_mode():
            restored = to_pixels(with_preview(model)(enlarged))
        frames = [clip[len(clean) // 2, 40:200, 60:300] for clip in (to_pixels(enlarged), restored, clean)]
        rows.append(np.concatenate([frame.repeat(2, 0).repeat(2, 1) for frame in frames], axis=1))
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.concatenate(rows)[..., ::-1])


def _mean(values: object) -> float:
    return float(np.mean(list(values)))  # type: ignore[call-overload]


def main(
    weights: Annotated[Path, typer.Option(help="The weights to measure.")] = WEIGHTS,
    report: Annotated[Path | None, typer.Option(help="Also write every score to this JSON file.")] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Also write a sheet of before, after, original (PNG).")
    ] = None,
    frames: Annotated[int, typer.Option(help="Length of the clips.")] = 8,
) -> None:
    """Prints the table of gains over bicubic."""
    model = load(weights).eval()
    methods = {"linear": linear_filter(fit_linear_filter()), "preview": with_preview(model)}
    comparisons = compare(methods, frames=frames)
    print(table(comparisons))
    if report:
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_text(json.dumps([asdict(c) for c in comparisons], indent=1) + "\n", encoding="utf-8")
    if picture:
        draw_picture(model, picture)


if __name__ == "__main__":
    typer.run(main)
