"""Holds the colours of restored frames to those of the input, frame by frame.

Every function takes content (the restored picture) and style (the resized input), both (B, 3, H, W) in [0, 1]
or near, and returns a picture of the same shape, not clamped.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

WAVELET_LEVELS = 5
D65_WHITE = (0.950456, 1.0, 1.088754)
RGB_TO_XYZ = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)

Correction = Callable[[Tensor, Tensor], Tensor]


def wavelet(content: Tensor, style: Tensor) -> Tensor:
    """The content's detail over the style's low frequencies."""
    # The low pass is linear, so that one of the difference does for both.
    return content + low_frequencies(style - content)


def adain(content: Tensor, style: Tensor) -> Tensor:
    """Gives every channel of a frame the style's mean and deviation (arXiv 1703.06868)."""
    content_std, content_mean = _deviation_and_mean(content)
    style_std, style_mean = _deviation_and_mean(style)
    return (content - content_mean) / content_std * style_std + style_mean


def lab(content: Tensor, style: Tensor) -> Tensor:
    """The style's colour and mean lightness, the content's own contrast.

    In CIELAB the two colour axes take the style's low frequencies; lightness is only moved to the style's
    mean.
    """
    content_lab, style_lab = rgb_to_lab(content.clamp(0, 1)), rgb_to_lab(style.clamp(0, 1))
    lightness, colours = content_lab[:, :1], content_lab[:, 1:]
    lightness = lightness + (style_lab[:, :1] - lightness).mean((2, 3), keepdim=True)
    return lab_to_rgb(torch.cat((lightness, wavelet(colours, style_lab[:, 1:])), dim=1))


def none(content: Tensor, style: Tensor) -> Tensor:
    """The content as it is."""
    return content


CORRECTIONS: dict[str, Correction] = {"wavelet": wavelet, "lab": lab, "adain": adain, "none": none}


def low_frequencies(picture: Tensor) -> Tensor:
    """Five blurs in a row, [1 2 1] x [1 2 1] / 16 dilated by 1, 2, 4, 8, 16, edges repeated; (B, C, H, W)."""
    height, width = picture.shape[-2:]
    for level in range(WAVELET_LEVELS):
        step = 2**level
        # The kernel is separable, and its edges are. Sums of shifted pictures take a fifth of the time of
        # convolutions, which have no fast way for one channel with gaps.
        padded = F.pad(picture, (0, 0, step, step), mode="replicate")
        picture = _blurred(padded[..., :height, :], picture, padded[..., -height:, :])
        padded = F.pad(picture, (step, step, 0, 0), mode="replicate")
        picture = _blurred(padded[..., :width], picture, padded[..., -width:])
    return picture


def _blurred(before: Tensor, here: Tensor, after: Tensor) -> Tensor:
    return (before + after).mul_(0.25).add_(here, alpha=0.5)


def rgb_to_lab(rgb: Tensor) -> Tensor:
    """sRGB in [0, 1] (IEC 61966-2-1) -> CIELAB with D65 white; L in [0, 100]."""
    linear = torch.where(rgb > 0.04045, ((rgb.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    xyz = torch.einsum("dc,bchw->bdhw", _matrix(rgb), linear) / _white(rgb)
    f = torch.where(xyz > 0.008856, xyz.clamp_min(0.008856) ** (1 / 3), 7.787 * xyz + 16 / 116)
    x, y, z = f.unbind(1)
    return torch.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), dim=1)


def lab_to_rgb(lab_picture: Tensor) -> Tensor:
    """The way back; colours outside sRGB come out outside [0, 1]."""
    lightness, a, b = lab_picture.unbind(1)
    y = (lightness + 16) / 116
    f = torch.stack((y + a / 500, y, y - b / 200), dim=1)
    xyz = torch.where(f > 0.2068966, f**3, (f - 16 / 116) / 7.787) * _white(f)
    linear = torch.einsum("dc,bchw->bdhw", torch.linalg.inv(_matrix(f)), xyz)
    return torch.where(
        linear > 0.0031308, 1.055 * linear.clamp_min(0.0031308) ** (1 / 2.4) - 0.055, 12.92 * linear
    )


def _deviation_and_mean(picture: Tensor) -> tuple[Tensor, Tensor]:
    variance, mean = torch.var_mean(picture, dim=(2, 3), keepdim=True)
    return (variance + 1e-5).sqrt(), mean


def _matrix(like: Tensor) -> Tensor:
    return torch.tensor(RGB_TO_XYZ, dtype=like.dtype, device=like.device)


def _white(like: Tensor) -> Tensor:
    return torch.tensor(D65_WHITE, dtype=like.dtype, device=like.device).view(3, 1, 1)
