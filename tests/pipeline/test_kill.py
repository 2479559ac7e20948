"""A restoration that is killed, by SIGKILL and in any stage, goes on and ends as if nothing had happened."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from tests.media.clips import clicks
from tests.pipeline.runs import clip, frames_of, times_of
from tests.processes import Command, Event

# Latents in a run, frames in a segment: a clip of 40 frames has several of each.
PIECES = (4, 8)
LENGTHS = (26, 14)
Files = dict[Path, tuple[int, int]]


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    sound = clicks(sum(LENGTHS) / 25, (0.1, 1.2))
    return clip(tmp_path_factory.mktemp("film") / "film.mkv", LENGTHS, tracks=(sound,))


@pytest.fixture(scope="module")
def undisturbed(source, tmp_path_factory) -> Callable[[str], Path]:
    """The clip restored in one go, into the named file's format."""
    made: dict[str, Path] = {}

    def restored(name: str) -> Path:
        if name not in made:
            made[name] = tmp_path_factory.mktemp("undisturbed") / name
            assert command(source, made[name]).wait() == 0
        return made[name]

    return restored


def command(source: Path, output: Path) -> Command:
    codec = ("--codec", "ffv1") if output.suffix == ".mkv" else ()
    return Command(
        *("restore", source, "-o", output, "--model", "preview", "--size", "64x48"), *codec, pieces=PIECES
    )


def at(stage: str, shot: int = 0, frames: int = 0) -> Callable[[Event], bool]:
    """Whether a stage has been reached, with so many frames written."""

    def reached(event: Event) -> bool:
        return (event["stage"], event["shot"]) == (stage, shot) and event["frames_done"] >= frames

    return reached


def finished_work(folder: Path) -> Files:
    """Inode and time of writing of every finished piece in the hidden folder."""
    (hidden,) = [path for path in folder.glob(".*") if path.is_dir()]
    pieces = [*hidden.glob("segments/?????????"), *hidden.glob("shot-*/*/*.safetensors")]
    return {path: identity for path in pieces if (identity := _identity(path))}


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except FileNotFoundError:  # Latents go when their segments are there.
        return None
    return stat.st_ino, stat.st_mtime_ns


def assert_untouched(kept: Files) -> None:
    for path, identity in kept.items():
        assert _identity(path) in (identity, None), f"{path} was made again"


def sound_of(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


def restore_with_kills(source: Path, output: Path, moments: list[Callable[[Event], bool]]) -> list[Files]:
    """Kills the command at every moment and starts it again; returns what was finished at each kill."""
    found: list[Files] = []
    for moment in [*moments, None]:
        running = command(source, output)
        for event in running:
            if found:
                assert_untouched(found[-1])
            if moment is not None and event["event"] == "progress" and moment(event):
                break
        if moment is None:
            assert running.wait() == 0
            return found
        running.kill()
        assert not output.exists()
        if found:
            assert_untouched(found[-1])
        found.append(finished_work(output.parent))
    raise AssertionError


def assert_the_same(output: Path, undisturbed: Path) -> None:
    assert np.array_equal(frames_of(output), frames_of(undisturbed))
    assert times_of(output) == times_of(undisturbed)
    assert sound_of(output) == sound_of(undisturbed)
    assert [path.name for path in output.parent.iterdir()] == [output.name]


def test_killed_while_encoding_and_while_decoding_it_ends_the_same(source, undisturbed, tmp_path):
    output = tmp_path / "out.mkv"
    found = restore_with_kills(source, output, [at("encode", shot=1), at("decode", shot=1, frames=34)])
    names = [{path.parent.name for path in files} for files in found]
    assert "segments" in names[0]
    # The second kill found work on the second shot: latents of both kinds, and its first segment.
    assert names[1] == {"segments", "condition", "restored"}
    assert_the_same(output, undisturbed(output.name))


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "moments",
    [
        [at("encode"), at("encode", shot=1)],
        [at("restore"), at("restore", shot=1)],
        [at("decode", frames=9), at("decode", shot=1, frames=35)],
        [at("join", shot=1, frames=40), at("join", shot=1, frames=40)],
    ],
    ids=["encode", "restore", "decode", "writing"],
)
def test_killed_twice_in_a_stage_it_ends_the_same(moments, source, undisturbed, tmp_path):
    output = tmp_path / "out.mp4"
    found = restore_with_kills(source, output, moments)
    assert len(found) == 2
    assert_the_same(output, undisturbed(output.name))


def test_another_option_does_not_take_up_the_work(source, tmp_path):
    output = tmp_path / "out.mkv"
    first = command(source, output)
    first.reach(at("decode", frames=9))
    first.kill()
    kept = finished_work(tmp_path)
    other = Command(
        *("restore", source, "-o", output, "--model", "preview", "--size", "32x24", "--end", "0.2")
    )
    assert other.wait() == 0
    assert frames_of(output).shape == (5, 24, 32, 3)
    assert finished_work(tmp_path) == kept
