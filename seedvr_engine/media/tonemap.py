"""HDR for ordinary screens: PQ and HLG pictures in BT.709 with 8 bits, for looking at, never for results."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from seedvr_engine.media.colour import HDR_TRANSFERS
from seedvr_engine.media.info import Colour

# ITU-R BT.2087: linear BT.2020 to linear BT.709.
_TO_BT709 = np.array(
    [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]],
    np.float32,
)
# What an ordinary screen shows as its white, and what is still told apart, in candela per square metre.
_WHITE, _PEAK = 100.0, 1000.0
_LEVELS = 65536


def to_screen(rgb: NDArray, colour: Colour) -> NDArray[np.uint8]:
    """A picture as an ordinary screen shows it.

    rgb: (H, W, 3), uint8 or uint16 (full scale), as stored under `colour`. Returns (H, W, 3) uint8; what is
    no HDR keeps its values.
    """
    if colour.transfer not in HDR_TRANSFERS:
        return rgb if rgb.dtype == np.uint8 else ((rgb.astype(np.uint32) + 128) // 257).astype(np.uint8)
    levels = rgb if rgb.dtype == np.uint16 else rgb.astype(np.uint16) * 257
    light = _light(colour.transfer)[levels]
    if colour.primaries == "bt2020":
        light = np.maximum(light @ _TO_BT709.T, 0)
    # Reinhard's curve with a white point, on the strongest component: hues stay.
    strongest = np.maximum(light.max(-1, keepdims=True), 1e-6)
    peak = _PEAK / _WHITE
    curve = (1 + strongest / peak**2) / (1 + strongest)
    return (np.clip(light * curve, 0, 1) ** (1 / 2.2) * 255 + 0.5).astype(np.uint8)


@cache
def _light(transfer: str) -> NDArray[np.float32]:
    """Light of each 16-bit level, 1 for the white of an ordinary screen."""
    signal = np.linspace(0, 1, _LEVELS)
    if transfer == "smpte2084":
        # SMPTE ST 2084: absolute, up to 10,000 candela per square metre.
        m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
        power = signal ** (1 / m2)
        nits = 10_000 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
    else:
        # ITU-R BT.2100: hybrid log-gamma, on a screen of 1,000 candela per square metre (system gamma 1.2).
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
        nits = 1000 * scene**1.2
    return (nits / _WHITE).astype(np.float32)
