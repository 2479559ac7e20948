"""What the `seedvr` command answers: exit codes, sentences, JSON lines, and where results go."""

import itertools
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from PIL import Image

from seedvr_engine.cli import main
from seedvr_engine.media.probe import probe
from seedvr_engine.media.read import read_frames
from seedvr_engine.media.still import write_still
from seedvr_engine.settings import get_settings
from tests.media import broken
from tests.media.clips import ClipSpec, clicks, scene, write_clip
from tests.processes import Command

SMALL = ("--model", "preview", "--size", "64x48")
USAGE, INPUT, CHECKPOINT, MEMORY, OUTPUT, TIME, CANCELLED = 2, 3, 4, 5, 6, 7, 130


@dataclass
class Ran:
    """What a command left behind. out, err: lines."""

    code: int
    out: list[str]
    err: list[str]

    @property
    def events(self) -> list[dict]:
        return [json.loads(line) for line in self.out]


Seedvr = Callable[..., Ran]


@pytest.fixture
def seedvr(capsys, monkeypatch, tmp_path) -> Iterator[Seedvr]:
    """Runs the command in this process, without any checkpoint."""
    monkeypatch.setenv("SEEDVR_CKPTS", str(tmp_path / "no checkpoints"))
    get_settings.cache_clear()

    def run(*words: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["seedvr", *map(str, words)])
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = capsys.readouterr()
        return Ran(caught.value.code or 0, out.splitlines(), err.splitlines())

    yield run
    get_settings.cache_clear()


@pytest.fixture
def clip(tmp_path) -> Path:
    return small_clip(tmp_path / "clip.mp4")


def small_clip(path: Path, frames: int = 3) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_clip(path, scene(1, frames, (24, 32), speed=0.5))


def names_in(folder: Path) -> list[str]:
    """Everything in a folder at any depth, hidden or not."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def is_one_sentence_with_a_remedy(text: str) -> bool:
    return text.endswith(".") and "Traceback" not in text and "bug" not in text and len(text) < 400


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (broken.missing, "does not exist"),
        (broken.empty, "is empty"),
        (broken.text, "no video or picture"),
        (broken.sound, "sound but no picture"),
        (broken.no_frames, "no frame"),
        (broken.too_wide, "16400x2"),
        (broken.playlist, "playlist"),
        (broken.concat_named_mp4, "playlist"),
        (broken.a_folder, "holds no video and no picture"),
    ],
)
def test_what_cannot_be_restored_ends_with_one_sentence_and_code_3(make, said, seedvr, tmp_path):
    source = make(tmp_path)
    before = names_in(tmp_path)
    ran = seedvr("restore", source, *SMALL)
    assert ran.code == INPUT
    assert said in ran.err[-1]
    assert is_one_sentence_with_a_remedy(ran.err[-1])
    assert len([line for line in ran.err if line.strip()]) == 1
    assert ran.out == []
    assert names_in(tmp_path) == before


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--size", "nonsense"), USAGE, "is not a size"),
        (("--size", "8x8"), USAGE, "outside of what can be made"),
        (("--size", "0x"), USAGE, "outside of what can be made"),
        (("--steps", "0"), USAGE, "steps is 0"),
        (("--guidance", "nan"), USAGE, "guidance is nan"),
        (("--condition-noise", "2"), USAGE, "condition_noise is 2.0"),
        (("--quality", "101"), USAGE, "quality is 101"),
        (("--start", "inf"), USAGE, "start is inf"),
        (("--start", "2", "--end", "1"), USAGE, "does not come after"),
        (("--container", "avi"), USAGE, "cannot be written as avi"),
        (("--container", "mp4", "--codec", "ffv1"), USAGE, "mp4 does not hold ffv1"),
        (("--codec", "mpeg1"), USAGE, "does not hold mpeg1"),
        (("-o", "out.txt"), USAGE, ".txt are not written"),
        (("-o", "picture.png"), USAGE, "names one picture"),
        (("--device", "banana"), USAGE, "no device 'banana'"),
        (("--model", "3b"), CHECKPOINT, "3b"),
        (("--model", "7b-sharp"), CHECKPOINT, "7b-sharp"),
        (("--model", "nothing.safetensors"), CHECKPOINT, "nothing.safetensors"),
        (("--start", "9"), INPUT, "no frame from 9.0 s on"),
        (("--sequence", "12"), INPUT, "is not a folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_options_that_make_no_sense_here_are_told(options, code, said, seedvr, clip, monkeypatch):
    monkeypatch.chdir(clip.parent)
    ran = seedvr("restore", clip, *SMALL, *options)
    assert ran.code == code
    assert said in ran.err[-1]
    assert is_one_sentence_with_a_remedy(ran.err[-1])
    assert names_in(clip.parent) == ["clip.mp4"]


@pytest.mark.parametrize(
    "options",
    [("--fit", "round"), ("--seed", "x"), ("--colour", "red"), ("--precision", "fp4"), ("--wrong",)],
)
def test_words_that_no_option_takes_end_with_code_2(options, seedvr, clip):
    assert seedvr("restore", clip, *options).code == USAGE
    assert names_in(clip.parent) == ["clip.mp4"]


def test_a_size_that_does_not_fit_into_memory_is_told_with_code_5(seedvr, clip, monkeypatch):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=2**30, total=2**31))
    ran = seedvr("restore", clip, "--model", "preview", "--size", "8192x6144")
    assert ran.code == MEMORY
    assert "8192x6144 needs at least" in ran.err[-1]
    assert is_one_sentence_with_a_remedy(ran.err[-1])
    assert names_in(clip.parent) == ["clip.mp4"]


def test_an_existing_output_is_kept_unless_it_may_be_replaced(seedvr, clip):
    output = clip.with_name("clip_restored.mp4")
    output.write_bytes(b"precious")
    refused = seedvr("restore", clip, *SMALL)
    assert refused.code == USAGE
    assert "exists already" in refused.err[-1]
    assert output.read_bytes() == b"precious"
    assert seedvr("restore", clip, *SMALL, "--skip-existing").code == 0
    assert output.read_bytes() == b"precious"
    assert seedvr("restore", clip, *SMALL, "--overwrite").code == 0
    assert probe(output).width == 64


@pytest.fixture
def mount(tmp_path) -> Iterator[Callable[[str], Path]]:
    """A small file system of its own, mounted with options; skips where that is not allowed."""
    place = tmp_path / "mounted"

    def mounted(options: str) -> Path:
        place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
            pytest.skip("needs the right to mount a file system")
        return place

    yield mounted
    if os.path.ismount(place):
        subprocess.run(["umount", str(place)], check=True)


def test_a_folder_that_cannot_be_written_is_told_with_code_6(seedvr, clip, tmp_path, request):
    if os.geteuid() == 0:
        folder = request.getfixturevalue("mount")("ro")
    else:
        folder = tmp_path / "locked"
        folder.mkdir(mode=0o555)
    for options in (("-o", folder / "out.mp4"), ("-o", folder / "sub" / "out.mp4")):
        ran = seedvr("restore", clip, *SMALL, *options)
        assert ran.code == OUTPUT
        assert str(folder) in ran.err[-1]
        assert is_one_sentence_with_a_remedy(ran.err[-1])
    batch = seedvr("restore", clip, clip, *SMALL, "-o", folder / "sub")
    assert batch.code == OUTPUT
    assert "cannot be written" in batch.err[0]
    assert names_in(folder) == []


def test_a_disk_without_room_is_told_before_any_work(seedvr, clip, mount):
    folder = mount("size=1m")
    ran = seedvr("restore", clip, *SMALL, "-o", folder / "out.mp4")
    assert ran.code == OUTPUT
    assert "GB are needed" in ran.err[-1]
    assert names_in(folder) == []


@pytest.fixture
def full_disk() -> Iterator[Callable[[int], None]]:
    """Files may not grow beyond so many bytes, which looks to a writer like a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [600, 60_000])
def test_a_disk_that_fills_up_on_the_way_is_told_and_the_same_command_goes_on(room, seedvr, clip, full_disk):
    """600 bytes are too few for latents, 60,000 for a lossless segment in 16 bit."""
    options = (*SMALL, "--codec", "ffv1", "--size", "320x240")
    with_room = clip.with_name("clip_restored.mkv")
    full_disk(room)
    ran = seedvr("restore", clip, *options)
    full_disk(resource.RLIM_INFINITY)
    assert ran.code == OUTPUT
    assert "No space is left" in ran.err[-1]
    assert is_one_sentence_with_a_remedy(ran.err[-1])
    assert not with_room.exists()
    assert not list(clip.parent.rglob("*.part"))
    if room == 600:
        assert names_in(clip.parent) == ["clip.mp4"]
    assert seedvr("restore", clip, *options).code == 0
    assert names_in(clip.parent) == ["clip.mp4", "clip_restored.mkv"]


def test_a_clip_that_was_cut_off_is_restored_up_to_the_cut_with_a_note(seedvr, tmp_path):
    whole = write_clip(tmp_path / "whole.mkv", scene(1, 30, (24, 32)), ClipSpec(gop=6))
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    ran = seedvr("restore", cut, *SMALL)
    assert ran.code == 0
    assert any(line.startswith("Note:") and "cut" in line for line in ran.err)
    assert 0 < len(list(read_frames(probe(tmp_path / "cut_restored.mp4")))) < 30


def test_a_clip_of_one_frame_is_restored(seedvr, tmp_path):
    source = small_clip(tmp_path / "one.mp4", frames=1)
    assert seedvr("restore", source, *SMALL).code == 0
    assert len(list(read_frames(probe(tmp_path / "one_restored.mp4")))) == 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_picture_becomes_a_png_of_twice_the_size_and_the_same_depth(dtype, seedvr, tmp_path):
    rgb = scene(1, 1, (24, 33))[0].astype(dtype) * (257 if dtype == np.uint16 else 1)
    write_still(tmp_path / "picture.png", rgb, 100, bit_depth=16 if dtype == np.uint16 else 8)
    assert seedvr("restore", tmp_path / "picture.png", "--model", "preview").code == 0
    assert names_in(tmp_path) == ["picture.png", "picture_restored.png"]
    restored = probe(tmp_path / "picture_restored.png")
    assert (restored.width, restored.height) == (66, 48)
    assert restored.bit_depth == 8 * np.dtype(dtype).itemsize


def test_json_is_one_object_a_line_with_progress_that_grows_and_ends_with_done(seedvr, clip):
    ran = seedvr("restore", clip, *SMALL, "--json")
    assert ran.code == 0
    events = ran.events
    assert events[0] == {"event": "begin", "input": str(clip)}
    progress = [event for event in events if event["event"] == "progress"]
    assert all(before["done"] <= after["done"] for before, after in itertools.pairwise(progress))
    assert progress[-1]["done"] == pytest.approx(1)
    assert {"shot", "stage", "frames_done", "frames_total", "frames_per_s", "left_s"} <= progress[-1].keys()
    assert progress[0]["notes"][0].startswith("Model: preview (the small built-in model, not SeedVR2)")
    done = events[-1]
    assert (done["event"], done["frames"]) == ("done", 3)
    assert done["output"] == str(clip.with_name("clip_restored.mp4"))
    assert ran.err == []


def test_progress_grows_even_where_the_container_is_wrong_about_the_length(seedvr, tmp_path):
    """Raw H.264 says nothing about its length."""
    source = small_clip(tmp_path / "raw.h264", frames=40)
    ran = seedvr("restore", source, *SMALL, "--json")
    shares = [event["done"] for event in ran.events if event["event"] == "progress"]
    assert shares == sorted(shares)
    assert ran.events[-1]["frames"] == 40


@pytest.mark.parametrize(
    ("options", "code", "word"),
    [
        (("--size", "x"), USAGE, "usage"),
        (("--start", "9"), INPUT, "input"),
        (("--model", "3b"), 4, "checkpoint"),
    ],
)
def test_json_tells_failures_too_and_stderr_says_them(options, code, word, seedvr, clip):
    ran = seedvr("restore", clip, *SMALL, *options, "--json")
    assert ran.code == code
    last = ran.events[-1]
    assert (last["event"], last["code"]) == ("failed", word)
    assert ran.err == [f"{last['message']} {last['remedy']}"]


def test_a_batch_goes_on_after_a_failure_and_ends_with_a_summary(seedvr, tmp_path):
    folder = tmp_path / "in"
    small_clip(folder / "a.mp4")
    small_clip(folder / "sub" / "c.mp4")
    small_clip(folder / ".hidden" / "d.mp4")
    (folder / "b.mp4").write_text("no film")
    ran = seedvr("restore", folder, *SMALL, "-o", tmp_path / "out")
    assert ran.code == INPUT
    assert ran.err[-1] == "2 restored, 0 skipped, 1 failed."
    assert any(line.startswith("b.mp4 is no video") for line in ran.err)
    assert names_in(tmp_path / "out") == ["a_restored.mp4", "sub", "sub/c_restored.mp4"]
    again = seedvr("restore", folder, *SMALL, "-o", tmp_path / "out", "--skip-existing", "--json")
    assert again.code == INPUT
    assert again.events[-1] == {"event": "summary", "done": 0, "skipped": 2, "failed": 1}


def test_results_of_an_earlier_batch_are_not_restored_again(seedvr, tmp_path):
    folder = tmp_path / "in"
    small_clip(folder / "a.mp4")
    Image.fromarray(scene(2, 1, (24, 32))[0]).save(folder / "still.png")
    assert seedvr("restore", folder, *SMALL, "--container", "png").code == 0
    first = names_in(folder)
    assert "a_restored/000000.png" in first or any(name.startswith("a_restored/") for name in first)
    again = seedvr("restore", folder, *SMALL, "--container", "png", "--skip-existing", "--json")
    assert again.code == 0
    assert again.events[-1] == {"event": "summary", "done": 0, "skipped": 2, "failed": 0}
    assert names_in(folder) == first


def test_a_batch_of_clips_becomes_as_many_folders_of_pictures(seedvr, tmp_path):
    for name in ("a", "b"):
        small_clip(tmp_path / "in" / f"{name}.mp4", frames=2)
    out = tmp_path / "out"
    assert seedvr("restore", tmp_path / "in", *SMALL, "--container", "png", "-o", out).code == 0
    assert sorted(path.name for path in out.iterdir()) == ["a_restored", "b_restored"]
    assert all(len(list(folder.glob("*.png"))) == 2 for folder in out.iterdir())


def test_a_folder_with_one_clip_is_a_batch_too(seedvr, tmp_path):
    small_clip(tmp_path / "in" / "a.mp4")
    assert seedvr("restore", tmp_path / "in", *SMALL, "-o", tmp_path / "out").code == 0
    assert names_in(tmp_path / "out") == ["a_restored.mp4"]


def test_several_inputs_do_not_go_into_one_file(seedvr, clip):
    ran = seedvr("restore", clip, small_clip(clip.with_name("b.mp4")), *SMALL, "-o", clip.with_name("o.mp4"))
    assert ran.code == USAGE
    assert "several inputs" in ran.err[0]
    assert names_in(clip.parent) == ["b.mp4", "clip.mp4"]


def test_a_folder_of_pictures_becomes_one_clip(seedvr, tmp_path):
    folder = tmp_path / "shot"
    folder.mkdir()
    for number, rgb in enumerate(scene(3, 5, (24, 32)), start=1):
        Image.fromarray(rgb).save(folder / f"{number}.png")
    ran = seedvr("restore", folder, *SMALL, "--sequence", "12", "--json")
    assert ran.code == 0
    made = probe(Path(ran.events[-1]["output"]))
    assert made.path == tmp_path / "shot_restored.mp4"
    assert [frame.time for frame in read_frames(made)] == [Fraction(n, 12) for n in range(5)]


@pytest.mark.parametrize("rate", ["0", "-5", "nan", "inf"])
def test_a_sequence_needs_a_rate_that_is_one(rate, seedvr, tmp_path):
    Image.fromarray(scene(3, 1, (24, 32))[0]).save(tmp_path / "1.png")
    ran = seedvr("restore", tmp_path, *SMALL, "--sequence", rate)
    assert ran.code == USAGE
    assert "no frame rate" in ran.err[-1]


def test_probe_and_plan_and_models_answer(seedvr, clip):
    described = seedvr("probe", clip, "--json")
    assert described.code == 0
    assert described.events[0]["size"] == "32x24"
    assert seedvr("probe", clip.with_name("none.mp4")).code == INPUT
    planned = seedvr("plan", clip, "--model", "preview")
    assert planned.code == 0
    assert any("64x48" in line for line in planned.out)
    assert any("about" in line and "guessed" in line for line in planned.out)
    (event,) = seedvr("plan", clip, "--json").events
    assert event["seconds"] == pytest.approx(sum(event["stage_s"].values()))
    assert event["plan"].startswith("preview, fp32, ")
    listed = seedvr("models", "--json")
    assert {event["name"]: event["present"] for event in listed.events} == {
        "preview": True,
        "3b": False,
        "7b": False,
        "7b-sharp": False,
    }


@pytest.mark.parametrize(
    "words",
    [["--help"], ["restore", "--help"], ["models"], ["probe", "{clip}"], ["plan", "{clip}"], ["doctor"]],
)
def test_what_needs_no_network_imports_no_torch(words, clip):
    """Torch takes seconds to import."""
    script = (
        "import sys\nfrom seedvr_engine.cli import main\ntry:\n    main()\nfinally:\n"
        "    assert 'torch' not in sys.modules, 'torch was imported'"
    )
    words = [word.format(clip=clip) for word in words]
    ran = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr


def test_the_shell_sees_the_exit_code(tmp_path):
    command = [sys.executable, "-m", "seedvr_engine.cli", "probe", str(tmp_path / "none.mp4")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ran.returncode == INPUT
    assert ran.stdout == ""
    assert "does not exist" in ran.stderr


def interrupt(source: Path, stage: str, number: int) -> None:
    """Stops the command in a stage; then the same command finishes it."""
    output = source.with_name("out.mkv")
    words = ("restore", source, "-o", output, *SMALL)
    running = Command(*words, pieces=(4, 8), errors=source.with_name("stderr"))
    running.reach(lambda event: event["stage"] == stage)
    running.signal(number)
    started = time.monotonic()
    code = running.wait()
    assert time.monotonic() - started < 3
    if stage == "join" and code == 0:  # It was done before patience ended.
        assert running.events[-1]["event"] == "done"
        return
    assert code == CANCELLED
    assert "goes on from here" in source.with_name("stderr").read_text()
    assert not output.exists()
    again = Command(*words, pieces=(4, 8))
    assert again.wait() == 0
    assert len(list(read_frames(probe(output)))) == len(list(read_frames(probe(source))))
    assert names_in(source.parent) == sorted([source.name, "out.mkv", "stderr"])


def test_ctrl_c_ends_soon_and_the_same_command_goes_on(tmp_path):
    interrupt(small_clip(tmp_path / "film.mp4", frames=24), "decode", signal.SIGINT)


def test_a_time_limit_ends_a_batch_and_the_same_command_goes_on(seedvr, tmp_path):
    for name in ("a", "b"):
        small_clip(tmp_path / "in" / f"{name}.mp4", frames=24)
    words = ("restore", tmp_path / "in", "-o", tmp_path / "out", "--model", "preview", "--size", "512x384")
    stopped = seedvr(*words, "--time-limit", "0.5")
    assert stopped.code == TIME
    assert any("time limit was reached" in line for line in stopped.err)
    assert not list((tmp_path / "out").glob("b*"))
    assert seedvr(*words).code == 0
    assert len(list((tmp_path / "out").glob("*_restored.mp4"))) == 2


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("stage", "number"),
    [
        ("start", signal.SIGINT),
        ("encode", signal.SIGINT),
        ("restore", signal.SIGINT),
        ("encode", signal.SIGTERM),
    ],
)
def test_ctrl_c_in_any_stage(stage, number, tmp_path):
    interrupt(small_clip(tmp_path / "film.mp4", frames=80), stage, number)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_ctrl_c_while_the_file_is_joined(tmp_path):
    """Ten minutes of sound take the join some time."""
    source = tmp_path / "film.mkv"
    spec = ClipSpec(tracks=(clicks(600, (0.1,)),), audio_codec="pcm_s16le")
    write_clip(source, scene(1, 4, (24, 32)), spec)
    interrupt(source, "join", signal.SIGINT)


COUNTING = """
import sqlite3
from seedvr_engine.interruption import interruptible

numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3000000000) "
with interruptible():
    print("busy", flush=True)
    sqlite3.connect(":memory:").execute(numbers + "SELECT count(*) FROM n").fetchone()
"""


def test_ctrl_c_ends_a_process_that_is_deep_in_a_computation():
    """No Python runs in its main thread for minutes, so no handler does."""
    process = subprocess.Popen(
        [sys.executable, "-c", COUNTING], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"busy\n"
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert time.monotonic() - started < 3
    assert process.returncode == CANCELLED
    assert b"goes on from here" in errors
