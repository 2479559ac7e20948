"""Files that cannot be restored, each made in a folder and returned."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from tests.media.clips import ClipSpec, scene, write_clip


def missing(folder: Path) -> Path:
    return folder / "nothing.mp4"


def empty(folder: Path) -> Path:
    (folder / "empty.mp4").touch()
    return folder / "empty.mp4"


def text(folder: Path) -> Path:
    (folder / "text.mp4").write_text("This is a letter, not a film.\n" * 40)
    return folder / "text.mp4"


def sound(folder: Path) -> Path:
    path = folder / "sound.m4a"
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts = 48000, 0
        container.mux([*stream.encode(frame), *stream.encode(None)])
    return path


def no_frames(folder: Path) -> Path:
    """A whole, healthy MP4 whose only picture is no picture."""
    path = folder / "frameless.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height = 64, 48
        container.start_encoding()
        packet = av.Packet(b"\0" * 32)
        packet.stream, packet.pts, packet.dts, packet.time_base = stream, 0, 0, Fraction(1, 25)
        container.mux(packet)
    return path


def playlist(folder: Path) -> Path:
    write_clip(folder / "secret.ts", scene(1, 3))
    (folder / "list.m3u8").write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nsecret.ts\n#EXT-X-ENDLIST\n"
    )
    return folder / "list.m3u8"


def concat_named_mp4(folder: Path) -> Path:
    write_clip(folder / "secret.mp4", scene(1, 3))
    (folder / "list.mp4").write_text("ffconcat version 1.0\nfile 'secret.mp4'\n")
    return folder / "list.mp4"


def too_wide(folder: Path) -> Path:
    Image.new("RGB", (16400, 2)).save(folder / "wide.png")
    return folder / "wide.png"


def too_tall_clip(folder: Path) -> Path:
    frames = [np.zeros((16386, 16, 3), np.uint8)]
    return write_clip(folder / "tall.mkv", frames, ClipSpec(codec="ffv1", pixel_format="bgr0"))


def a_folder(place: Path) -> Path:
    return place
