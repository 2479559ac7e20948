"""The finished file: pieces joined as if written in one go, with the source's sound and texts beside them."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest

from seedvr_engine.errors import OutputError
from seedvr_engine.media.probe import probe
from seedvr_engine.media.read import read_frames
from seedvr_engine.media.write import SegmentWriter, choose_target, join_segments
from tests.media.clips import ClipSpec, clicks, heard_clicks, scene, write_clip

TIMES = [
    Fraction(ms, 1000) for ms in (0, 40, 57, 200, 241, 300, 333, 400, 500, 520, 530, 700, 740, 780, 820, 860)
]


def _flash_clip(path, *, seconds=4, flashes=(0.48, 3.8), rate=25, **spec):
    """A grey clip whose frames at `flashes` are white, with a click in its sound at the same moment."""
    frames = [np.full((48, 64, 3), 40, np.uint8) for _ in range(seconds * rate)]
    for second in flashes:
        frames[round(second * rate)][:] = 250
    spec.setdefault("tracks", [clicks(seconds, flashes)])
    return probe(write_clip(path, frames, ClipSpec(rate=Fraction(rate), **spec)))


def _restore(
    source, folder, output, *, start=None, stop=None, borders=(), container=None, codec=None, metadata=None
):
    """Writes the source's frames again, in pieces that begin at `borders`; returns the warnings."""
    target = choose_target(source, (source.height, source.width), None, container, codec)
    chosen = [
        frame
        for frame in read_frames(source)
        if (start is None or frame.time >= start) and (stop is None or frame.time < stop)
    ]
    edges = [0, *borders, len(chosen)]
    pieces = []
    for begin, end in pairwise(edges):
        pieces.append(folder / f"piece{begin}")
        with SegmentWriter(pieces[-1], target) as writer:
            for frame in chosen[begin:end]:
                writer.write(frame.rgb, frame.time)
    return join_segments(pieces, source, target, output, start=start, stop=stop, metadata=metadata)


def _flash_times(path):
    frames = read_frames(probe(path))
    return [float(frame.time) for frame in frames if frame.rgb.mean() > 0.6 * np.iinfo(frame.rgb.dtype).max]


def _packets(path, kind):
    with av.open(str(path)) as container:
        streams = [stream for stream in container.streams if stream.type == kind]
        return [
            (
                packet.stream.index,
                packet.pts * packet.time_base,
                packet.duration * packet.time_base,
                bytes(packet),
            )
            for packet in container.demux(streams)
            if packet.size
        ]


@pytest.mark.parametrize("codec", ["h264", "h265", "vp9", "av1", "ffv1"])
@pytest.mark.parametrize("borders", [(1,), (5,), (3, 4, 11), (15,)])
def test_pieces_play_as_one_clip_at_the_sources_times(tmp_path, codec, borders):
    source = probe(write_clip(tmp_path / "in.mkv", scene(3, 16), ClipSpec(times=TIMES)))
    _restore(source, tmp_path, tmp_path / "out.mkv", borders=borders, container="mkv", codec=codec)
    read = list(read_frames(probe(tmp_path / "out.mkv")))
    assert [frame.time for frame in read] == TIMES
    for frame, original in zip(read, read_frames(source), strict=True):
        assert (
            np.abs(
                frame.rgb.astype(int) // (257 if frame.rgb.dtype == np.uint16 else 1) - original.rgb
            ).mean()
            < 8
        )


@pytest.mark.parametrize("container", ["mp4", "mov", "mkv"])
def test_decode_times_rise_and_never_pass_the_pictures(tmp_path, container):
    source = probe(write_clip(tmp_path / "in.mkv", scene(3, 16), ClipSpec(times=TIMES)))
    _restore(source, tmp_path, tmp_path / "out", borders=(1, 2, 9), container=container, codec="h264")
    with av.open(str(tmp_path / "out")) as joined:
        packets = [packet for packet in joined.demux(video=0) if packet.size]
    times = [packet.dts for packet in packets if packet.dts is not None]
    assert all(later > earlier for earlier, later in pairwise(times))
    assert all(packet.dts is None or packet.pts >= packet.dts for packet in packets)
    assert sum(packet.is_keyframe for packet in packets) >= 4


def test_a_lossless_clip_is_the_same_however_it_was_cut(tmp_path):
    source = probe(
        write_clip(tmp_path / "in.mp4", scene(3, 16), ClipSpec(times=TIMES, tracks=[clicks(0.9, [0.5])]))
    )
    _restore(source, tmp_path, tmp_path / "one.mkv", container="mkv", codec="ffv1")
    _restore(source, tmp_path, tmp_path / "many.mkv", borders=(1, 5, 6, 12), container="mkv", codec="ffv1")
    one, many = (list(read_frames(probe(tmp_path / name))) for name in ("one.mkv", "many.mkv"))
    assert [frame.time for frame in one] == [frame.time for frame in many]
    assert all(np.array_equal(a.rgb, b.rgb) for a, b in zip(one, many, strict=True))
    assert _packets(tmp_path / "one.mkv", "audio") == _packets(tmp_path / "many.mkv", "audio")


def test_joining_twice_gives_the_same_packets(tmp_path):
    source = _flash_clip(tmp_path / "in.mp4")
    for name in ("one.mp4", "two.mp4"):
        _restore(source, tmp_path, tmp_path / name, borders=(30, 77))
    for kind in ("video", "audio"):
        assert _packets(tmp_path / "one.mp4", kind) == _packets(tmp_path / "two.mp4", kind)


@pytest.mark.parametrize(
    ("suffix", "audio", "container", "codec"),
    [
        ("mp4", "aac", "mp4", None),
        ("mp4", "aac", "mkv", None),
        ("mkv", "aac", "mp4", None),
        ("mkv", "libopus", "mkv", None),
        ("mkv", "libopus", "webm", "vp9"),
        ("mkv", "libopus", "mp4", None),
        ("mov", "pcm_s16le", "mov", "prores"),
        ("mov", "pcm_s16le", "mkv", "ffv1"),
        ("ts", "aac", "mp4", None),
        ("avi", "libmp3lame", "mp4", None),
    ],
)
def test_sound_is_in_step_to_ten_milliseconds_at_the_end(tmp_path, suffix, audio, container, codec):
    source = _flash_clip(tmp_path / f"in.{suffix}", audio_codec=audio)
    output = tmp_path / f"out.{container}"
    assert _restore(source, tmp_path, output, borders=(13, 60), container=container, codec=codec) == []
    heard, seen = heard_clicks(output), _flash_times(output)
    assert len(heard) == len(seen) == 2
    before = np.subtract(heard_clicks(source.path), _flash_times(source.path))
    assert np.abs(np.subtract(heard, seen) - before).max() <= 0.010
    if suffix in {"mp4", "mov"}:
        assert np.abs(np.subtract(heard, seen)).max() <= 0.010


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_a_part_of_a_clip_keeps_its_sound_in_step(tmp_path, suffix):
    source = _flash_clip(tmp_path / f"in.{suffix}", flashes=(0.48, 2.2, 3.8))
    start = next(frame.time for frame in read_frames(source) if frame.number == 33)
    output = tmp_path / "out.mp4"
    _restore(source, tmp_path, output, start=start, stop=start + 2, container="mp4")
    assert next(read_frames(probe(output))).time == 0
    heard, seen = heard_clicks(output), _flash_times(output)
    assert len(heard) == len(seen) == 1
    assert abs(heard[0] - seen[0]) <= 0.010
    assert abs(seen[0] - (2.2 - 33 / 25)) < 0.001
    assert probe(output).duration_s == pytest.approx(2, abs=0.05)


def test_sound_packets_are_copied_to_the_bit(tmp_path):
    source = _flash_clip(tmp_path / "in.mp4", tracks=[clicks(4, [0.48, 3.8]), clicks(4, [1.0])])
    _restore(source, tmp_path, tmp_path / "out.mp4", borders=(20,))
    assert _packets(tmp_path / "out.mp4", "audio") == _packets(source.path, "audio")
    assert [stream.language for stream in probe(tmp_path / "out.mp4").audio] == ["eng", "deu"]


def test_a_late_picture_stays_late(tmp_path):
    times = [Fraction(1, 2) + Fraction(n, 25) for n in range(10)]
    spec = ClipSpec(times=times, tracks=[clicks(0.9, [0.1])])
    source = probe(write_clip(tmp_path / "in.mp4", scene(3, 10), spec))
    _restore(source, tmp_path, tmp_path / "out.mp4", borders=(4,))
    assert [frame.time for frame in read_frames(probe(tmp_path / "out.mp4"))] == times
    assert heard_clicks(tmp_path / "out.mp4")[0] == pytest.approx(0.1, abs=0.01)


def test_subtitles_chapters_and_metadata_come_along(tmp_path):
    source = _flash_clip(
        tmp_path / "in.mkv",
        subtitles=[(0.5, 1.0, "hello"), (3.0, 3.5, "there")],
        chapters=[(0, 2, "one"), (2, 4, "two")],
        metadata={"title": "Harbour", "artist": "Nobody"},
    )
    warnings = _restore(source, tmp_path, tmp_path / "out.mkv", metadata={"restored_with": "preview"})
    assert warnings == []
    info = probe(tmp_path / "out.mkv")
    assert info.chapters == source.chapters
    lower = {key.lower(): value for key, value in info.metadata.items()}
    assert (lower["title"], lower["artist"], lower["restored_with"]) == ("Harbour", "Nobody", "preview")
    assert _packets(tmp_path / "out.mkv", "subtitle") == _packets(source.path, "subtitle")


def test_mp4_keeps_metadata_of_any_name(tmp_path):
    source = _flash_clip(tmp_path / "in.mp4", metadata={"title": "Harbour"})
    _restore(source, tmp_path, tmp_path / "out.mp4", metadata={"restored_with": "preview"})
    metadata = probe(tmp_path / "out.mp4").metadata
    assert (metadata["title"], metadata["restored_with"]) == ("Harbour", "preview")


def test_chapters_and_subtitles_are_cut_with_the_clip(tmp_path):
    source = _flash_clip(
        tmp_path / "in.mkv",
        subtitles=[(0.2, 0.4, "gone"), (1.5, 2.0, "kept"), (3.5, 3.9, "gone")],
        chapters=[(0, 2, "one"), (2, 4, "two")],
    )
    _restore(source, tmp_path, tmp_path / "out.mkv", start=Fraction(1), stop=Fraction(3))
    chapters = probe(tmp_path / "out.mkv").chapters
    assert [(c.start, c.end, c.title) for c in chapters] == [(0, 1, "one"), (1, 2, "two")]
    assert [(p[1], p[3]) for p in _packets(tmp_path / "out.mkv", "subtitle")] == [(Fraction(1, 2), b"kept")]


def test_every_stream_that_is_lost_is_named(tmp_path):
    source = _flash_clip(tmp_path / "in.mkv", subtitles=[(0.5, 1.0, "hello")])
    warnings = _restore(source, tmp_path, tmp_path / "out.mp4", container="mp4")
    assert len(warnings) == 1
    assert "subtitle stream 2" in warnings[0]
    assert "mkv" in warnings[0]
    lost = _restore(source, tmp_path, tmp_path / "out.webm", container="webm")
    assert ["audio stream 1" in lost[0], "subtitle stream 2" in lost[1]] == [True, True]
    folder = _restore(source, tmp_path, tmp_path / "pictures", container="png")
    assert len(folder) == 2


def test_a_cut_off_source_still_gives_its_sound(tmp_path):
    source = _flash_clip(tmp_path / "in.mkv")
    source.path.write_bytes(source.path.read_bytes()[: source.path.stat().st_size // 2])
    source = probe(source.path)
    _restore(source, tmp_path, tmp_path / "out.mp4", container="mp4")
    assert len(heard_clicks(tmp_path / "out.mp4")) == 1


def test_a_full_disk_leaves_no_output(tmp_path):
    source = _flash_clip(tmp_path / "in.mp4", seconds=1, flashes=(0.48,))
    (tmp_path / "out.mp4.part").symlink_to("/dev/full")
    with pytest.raises(OutputError, match="No space"):
        _restore(source, tmp_path, tmp_path / "out.mp4")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("out")]


def test_pieces_of_other_settings_or_in_the_wrong_order_are_refused(tmp_path):
    source = _flash_clip(tmp_path / "in.mp4", seconds=1, flashes=(0.48,))
    target = choose_target(source, (48, 64))
    frames = list(read_frames(source))
    for name, own, part in (
        ("a", target, frames[:5]),
        ("b", target, frames[5:9]),
        ("c", replace(target, bit_depth=8, codec="h264", quality=80, rate=Fraction(50)), frames[9:]),
    ):
        with SegmentWriter(tmp_path / name, own) as writer:
            for frame in part:
                writer.write(frame.rgb, frame.time)
    a, b, c = (tmp_path / name for name in "abc")
    with pytest.raises(OutputError, match="does not follow"):
        join_segments([b, a], source, target, tmp_path / "out.mp4")
    with pytest.raises(OutputError, match="other settings"):
        join_segments([a, b, c], source, target, tmp_path / "out.mp4")
    b.write_bytes(b"rubbish")
    with pytest.raises(OutputError, match="cannot be read back"):
        join_segments([a, b], source, target, tmp_path / "out.mp4")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("out")]
