"""Segments: every codec, depth and size; whole or not there at all; what the disk may do."""

import itertools
import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from seedvr_engine.errors import OutputError, UsageError
from seedvr_engine.media.info import Colour, StreamInfo
from seedvr_engine.media.probe import probe
from seedvr_engine.media.read import read_frames
from seedvr_engine.media.write import SegmentWriter, Target, choose_target, join_segments
from tests.media.clips import ClipSpec, clicks, scene, write_clip

BT709 = Colour("bt709", "tv", "bt709", "bt709")
PLAIN = Target(64, 48, "mp4", "h264", 8, 80, BT709, Fraction(1, 90000), Fraction(25))
FORMATS = [
    ("mp4", "h264", 8),
    ("mp4", "h265", 10),
    ("mp4", "av1", 10),
    ("mkv", "h264", 8),
    ("mkv", "h265", 8),
    ("mkv", "vp9", 8),
    ("mkv", "ffv1", 8),
    ("webm", "vp9", 8),
    ("webm", "av1", 10),
    ("mov", "prores", 10),
]
LIBAV_NAMES = {"h265": "hevc", "av1": "libdav1d"}


def _source(tmp_path, frames=None, **spec):
    return probe(write_clip(tmp_path / "source.mkv", frames or scene(1, 12), ClipSpec(**spec)))


def _write(path, target, frames, times=None):
    with SegmentWriter(path, target) as writer:
        for index, frame in enumerate(frames):
            writer.write(frame, Fraction(index, 25) if times is None else times[index])
    return path


@pytest.mark.parametrize(("container", "codec", "depth"), FORMATS)
def test_every_format_gives_back_its_frames_at_their_times(tmp_path, container, codec, depth):
    source = _source(tmp_path)
    frames = scene(7, 9, (64, 96))
    times = [Fraction(ms, 1000) for ms in (0, 40, 57, 200, 241, 300, 333, 400, 500)]
    target = replace(choose_target(source, (64, 96), None, container, codec, 100), bit_depth=depth)
    _write(tmp_path / "piece", target, frames, times)
    join_segments([tmp_path / "piece"], source, target, tmp_path / f"out.{container}")
    info = probe(tmp_path / f"out.{container}")
    read = list(read_frames(info))
    assert info.codec == LIBAV_NAMES.get(codec, codec)
    assert info.bit_depth == depth
    assert (info.width, info.height) == (96, 64)
    assert [frame.time for frame in read] == times
    unit = 257 if depth > 8 else 1
    worst = max(np.abs(frame.rgb / unit - drawn).mean() for frame, drawn in zip(read, frames, strict=True))
    # Sharp coloured edges lose half their chroma in 4:2:0; frames in the wrong order would differ by 40.
    assert worst < (0.01 if codec == "ffv1" else 6)


@pytest.mark.parametrize("size", [(47, 63), (48, 63), (47, 64)])
@pytest.mark.parametrize("codec", ["h264", "h265", "vp9", "av1", "prores", "ffv1"])
def test_odd_sizes_are_kept_exactly(tmp_path, size, codec):
    source = _source(tmp_path)
    container = {"vp9": "webm", "av1": "mkv", "prores": "mov", "ffv1": "mkv"}.get(codec, "mp4")
    frames = [frame[: size[0], : size[1]] for frame in scene(7, 3, (48, 66))]
    target = choose_target(source, size, None, container, codec)
    _write(tmp_path / "piece", target, frames)
    join_segments([tmp_path / "piece"], source, target, tmp_path / f"out.{container}")
    read = list(read_frames(probe(tmp_path / f"out.{container}")))
    assert [frame.rgb.shape for frame in read] == [(*size, 3)] * 3


def test_deep_frames_stay_lossless_in_ffv1(tmp_path):
    source = replace(_source(tmp_path), bit_depth=10)
    target = choose_target(source, (48, 64), None, "mkv", "ffv1")
    deep = np.random.default_rng(0).integers(0, 65536, (48, 64, 3)).astype(np.uint16)
    _write(tmp_path / "piece", target, [deep])
    join_segments([tmp_path / "piece"], source, target, tmp_path / "out.mkv")
    assert np.array_equal(next(read_frames(probe(tmp_path / "out.mkv"))).rgb, deep)


def test_a_better_quality_is_larger_and_closer(tmp_path):
    frames = scene(7, 6, (96, 128), noise=12)
    source = _source(tmp_path)
    for codec, container in (("h264", "mp4"), ("h265", "mp4"), ("vp9", "webm"), ("prores", "mov")):
        sizes = []
        for quality in (20, 80, 100):
            target = choose_target(source, (96, 128), None, container, codec, quality)
            sizes.append(_write(tmp_path / "piece", target, frames).stat().st_size)
        assert sizes[0] < sizes[1] <= sizes[2], codec


@pytest.mark.parametrize("codec", ["h264", "h265", "vp9", "av1", "prores", "ffv1"])
@pytest.mark.parametrize("size", [(96, 128), (128, 160), (48, 64)], ids=str)
def test_the_same_frames_give_the_same_file(tmp_path, codec, size):
    target = replace(PLAIN, codec=codec, container="mov" if codec == "prores" else "mkv")
    target = replace(target, height=size[0], width=size[1])
    written = {_write(tmp_path / "again", target, scene(7, 8, size)).read_bytes() for _ in range(6)}
    assert len(written) == 1


@pytest.mark.parametrize("codec", ["h264", "h265", "vp9", "av1"])
def test_segments_of_few_frames_keep_them_all_at_their_times(tmp_path, codec):
    target = replace(PLAIN, codec=codec, container="mkv")
    frames = scene(7, 7)
    for count in range(1, 8):
        _write(tmp_path / "piece", target, frames[:count])
        with av.open(str(tmp_path / "piece"), format="nut") as container:
            times = [frame.pts * frame.time_base - 60 for frame in container.decode(video=0)]
        assert times == [Fraction(n, 25) for n in range(count)]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are listed on Linux alone")
@pytest.mark.parametrize("codec", ["h264", "h265", "vp9", "av1"])
def test_no_encoder_takes_the_machine_from_everybody_else(tmp_path, codec):
    """SVT-AV1, run by root, would make this thread and all that it starts realtime ones."""
    with SegmentWriter(tmp_path / "piece", replace(PLAIN, codec=codec, container="mkv")) as writer:
        for number, frame in enumerate(scene(7, 5)):
            writer.write(frame, Fraction(number, 25))
        threads = [int(path.name) for path in Path("/proc/self/task").iterdir()]
        assert {os.sched_getscheduler(thread) for thread in threads} == {os.SCHED_OTHER}
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


def test_a_segment_has_its_name_only_when_it_is_whole(tmp_path):
    with SegmentWriter(tmp_path / "piece", PLAIN) as writer:
        writer.write(scene(1, 1)[0], Fraction(0))
        assert not (tmp_path / "piece").exists()
        assert (tmp_path / "piece.part").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["piece"]


def test_an_exception_leaves_nothing_behind(tmp_path):
    def interrupted():
        yield scene(1, 1)[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _write(tmp_path / "piece", PLAIN, interrupted())
    assert list(tmp_path.iterdir()) == []


def test_a_half_written_segment_of_a_killed_run_is_replaced(tmp_path):
    (tmp_path / "piece.part").write_bytes(b"rubbish" * 1000)
    _write(tmp_path / "piece", PLAIN, scene(1, 3))
    with av.open(str(tmp_path / "piece"), format="nut") as container:
        assert sum(1 for _ in container.decode(video=0)) == 3


@pytest.mark.parametrize("codec", ["h264", "ffv1", "prores"])
def test_a_full_disk_is_said_and_nothing_is_left(tmp_path, codec):
    container = {"h264": "mp4", "ffv1": "mkv", "prores": "mov"}[codec]
    target = replace(PLAIN, codec=codec, container=container, width=320, height=240)
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3)).astype(np.uint8)
    (tmp_path / "piece.part").symlink_to("/dev/full")
    with pytest.raises(OutputError, match="No space"):
        _write(tmp_path / "piece", target, [noise] * 8)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with pytest.raises(OutputError, match="cannot be written") as caught:
        SegmentWriter(tmp_path / "nowhere" / "piece", PLAIN)
    assert caught.value.remedy


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_without_permission_is_said(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="cannot be written"):
        SegmentWriter(tmp_path / "piece", PLAIN)


def test_a_place_that_is_a_file_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        SegmentWriter(tmp_path / "file" / "piece", PLAIN)


def test_a_frame_of_another_size_is_our_mistake_and_loud(tmp_path):
    with pytest.raises(ValueError, match="shape"), SegmentWriter(tmp_path / "piece", PLAIN) as writer:
        writer.write(np.zeros((10, 10, 3), np.uint8), Fraction(0))


def test_a_clip_becomes_a_folder_of_pictures_with_their_times(tmp_path):
    source = _source(tmp_path)
    frames = scene(7, 5)
    target = choose_target(source, (48, 64), tmp_path / "pictures")
    assert (target.container, target.codec) == ("png", "png")
    pieces = [
        _write(tmp_path / "a", target, frames[:2], [Fraction(0), Fraction(1, 25)]),
        _write(tmp_path / "b", target, frames[2:], [Fraction(1, 8), Fraction(1, 4), Fraction(1, 2)]),
    ]
    join_segments(pieces, source, target, tmp_path / "pictures")
    names = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert names == [f"{n:06d}.png" for n in range(1, 6)] + ["timestamps.txt"]
    for index, drawn in enumerate(frames):
        read = next(read_frames(probe(tmp_path / "pictures" / f"{index + 1:06d}.png"))).rgb
        assert np.array_equal(read, drawn)
    lines = (tmp_path / "pictures" / "timestamps.txt").read_text().split()
    assert [float(line) for line in lines[4:]] == [0, 40, 125, 250, 500]


@pytest.mark.parametrize(
    ("depth", "output", "container", "codec", "chosen"),
    [
        (8, None, None, None, ("mp4", "h264", 8)),
        (10, None, None, None, ("mp4", "h265", 10)),
        (8, "o.mkv", None, None, ("mkv", "h264", 8)),
        (10, "o.mkv", None, None, ("mkv", "h265", 10)),
        (8, "o.mov", None, None, ("mov", "prores", 10)),
        (8, "o.webm", None, None, ("webm", "vp9", 8)),
        (10, "o.webm", None, None, ("webm", "av1", 10)),
        (8, "o.mp4", None, "h265", ("mp4", "h265", 10)),
        (10, "o.mp4", None, "h264", ("mp4", "h264", 8)),
        (8, None, None, "ffv1", ("mkv", "ffv1", 8)),
        (8, None, "png", None, ("png", "png", 8)),
        (8, "folder", None, None, ("png", "png", 8)),
    ],
)
def test_the_format_follows_the_source_and_what_is_asked(tmp_path, depth, output, container, codec, chosen):
    source = replace(_source(tmp_path), bit_depth=depth)
    target = choose_target(source, (48, 64), tmp_path / output if output else None, container, codec)
    assert (target.container, target.codec, target.bit_depth) == chosen


@pytest.mark.parametrize(
    ("audio", "subtitles", "container"),
    [
        ((), (), "mp4"),
        (("aac",), (), "mp4"),
        (("aac", "ac3"), (), "mp4"),
        (("pcm_s16le",), (), "mkv"),
        (("vorbis",), (), "mkv"),
        (("aac",), ("subrip",), "mkv"),
        (("aac",), ("mov_text",), "mp4"),
    ],
)
def test_without_a_name_the_container_is_the_one_that_loses_nothing(tmp_path, audio, subtitles, container):
    source = replace(
        _source(tmp_path),
        audio=tuple(StreamInfo(n + 1, "audio", codec) for n, codec in enumerate(audio)),
        subtitles=tuple(StreamInfo(n + 9, "subtitle", codec) for n, codec in enumerate(subtitles)),
    )
    assert choose_target(source, (48, 64)).container == container


@pytest.mark.parametrize(
    ("output", "container", "codec", "quality"),
    [
        ("o.avi", None, None, None),
        ("o.mp4", None, "vp9", None),
        ("o.mp4", None, "nonsense", None),
        ("o.png", None, None, None),
        (None, "ogg", None, None),
        (None, None, None, 101),
    ],
)
def test_a_combination_that_does_not_exist_is_refused(tmp_path, output, container, codec, quality):
    with pytest.raises(UsageError) as caught:
        choose_target(
            _source(tmp_path), (48, 64), tmp_path / output if output else None, container, codec, quality
        )
    assert caught.value.remedy


def test_timestamps_of_the_source_are_whole_numbers_of_the_target(tmp_path):
    for base, suffix in itertools.product((Fraction(1, 90000), Fraction(1001, 30000)), ("mkv", "mov")):
        rate = Fraction(30000, 1001)
        spec = ClipSpec(time_base=base, rate=rate, tracks=[clicks(0.3, [])])
        info = probe(write_clip(tmp_path / f"s.{suffix}", scene(1, 5), spec))
        target = choose_target(info, (48, 64))
        for frame in read_frames(info):
            assert (frame.time / target.time_base).denominator == 1
