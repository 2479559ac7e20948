"""Writes what the examples draw as a film."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

SAMPLE_RATE = 44100


def write_film(
    path: Path,
    frames: Iterable[np.ndarray],
    size: tuple[int, int],
    rate: int,
    crf: int,
    sound: np.ndarray | None = None,
) -> None:
    """Writes frames (H, W, 3) of a size (width, height) as H.264, tagged BT.709, and a sound as AAC.

    sound: mono samples (1, N) in [-1, 1], SAMPLE_RATE a second.
    """
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        video = container.add_stream("libx264", rate=rate, options={"crf": str(crf), "preset": "slow"})
        video.pix_fmt, video.width, video.height = "yuv420p", *size
        context = video.codec_context
        context.colorspace, context.color_primaries, context.color_trc, context.color_range = 1, 1, 1, 1
        audio = None if sound is None else container.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        if audio is not None:
            audio.bit_rate = 64000
        for number, rgb in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(
                format="yuv420p", dst_colorspace="ITU709"
            )
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if audio is not None and sound is not None:
            heard = av.AudioFrame.from_ndarray(sound, "fltp", "mono")
            heard.sample_rate, heard.pts, heard.time_base = SAMPLE_RATE, 0, Fraction(1, SAMPLE_RATE)
            container.mux(audio.encode(heard))
            container.mux(audio.encode())
