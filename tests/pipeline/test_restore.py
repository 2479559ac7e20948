"""A restoration is the same whatever memory forces, shot by shot, and keeps everything beside the picture."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from seedvr_engine.errors import Cancelled, InputError, MemoryBudgetError, OutputError, UsageError
from seedvr_engine.media.probe import probe
from seedvr_engine.pipeline import model
from seedvr_engine.pipeline.messages import Progress
from seedvr_engine.pipeline.options import Options
from seedvr_engine.pipeline.restore import restore
from tests.media.clips import clicks
from tests.pipeline.runs import PLAN, PREVIEW, SMALL, clip, frames_of, times_of


@pytest.fixture(scope="module")
def shot(tmp_path_factory):
    return clip(tmp_path_factory.mktemp("shot") / "shot.mp4", (9,))


@pytest.fixture(scope="module")
def whole(shot, checkpoints, tmp_path_factory):
    """The shot restored in one pass with everything on the device."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEEDVR_CKPTS", str(checkpoints))
        from seedvr_engine.settings import get_settings

        get_settings.cache_clear()
        output = tmp_path_factory.mktemp("whole") / "whole.mkv"
        restore(shot, output, SMALL, plan=PLAN)
        get_settings.cache_clear()
        return frames_of(output)


@pytest.mark.parametrize(
    "change",
    [
        {"group_tokens": 1},
        {"piece_frames": 1},
        {"piece_frames": 16},
        {"cache_place": "host", "token_place": "host", "weight_place": "host"},
    ],
    ids=str,
)
def test_frames_do_not_depend_on_the_plan(change, shot, whole, tmp_path):
    output = tmp_path / "out.mkv"
    restore(shot, output, SMALL, plan=replace(PLAN, **change))
    assert np.abs(frames_of(output) - whole).max() <= 1


def brightness(frames):
    return frames.mean((1, 2, 3))


def detail(frames):
    return np.abs(np.diff(frames, axis=2)).mean((1, 2, 3))


def test_stretches_meet_without_a_step(tmp_path):
    """What a join adds to the change from frame to frame is little beside what changes inside a stretch."""
    source = clip(tmp_path / "long.mp4", (30,))
    restore(source, tmp_path / "whole.mkv", PREVIEW, plan=PLAN)
    restore(source, tmp_path / "cut.mkv", PREVIEW, plan=replace(PLAN, stretch_latents=12))
    whole, cut = (frames_of(tmp_path / name).astype(float) for name in ("whole.mkv", "cut.mkv"))
    # A latent of the preview is a frame; stretches are 0 to 11, 9 to 21, 19 to 30.
    at_joins = np.isin(np.arange(29), [*range(8, 12), *range(18, 22)])
    for measure in (brightness, detail):
        changes, undisturbed = (np.abs(np.diff(measure(frames))) for frames in (cut, whole))
        added = changes - undisturbed
        assert added[at_joins].max() <= 0.2 * changes[~at_joins].max()


def test_shots_restored_together_equal_shots_restored_one_by_one(tmp_path):
    source = clip(tmp_path / "film.mp4", (5, 3, 6))
    together = restore(source, tmp_path / "film.mkv", SMALL, plan=PLAN)
    assert together.shots == (0, 5, 8)
    frames = frames_of(tmp_path / "film.mkv")
    for number, (first, stop) in enumerate(((0, 5), (5, 8), (8, 14))):
        output = tmp_path / f"{number}.mkv"
        options = replace(SMALL, start=first / 25, end=stop / 25)
        alone = restore(source, output, options, plan=PLAN)
        assert alone.shots == (first,)
        assert np.abs(frames_of(output) - frames[first:stop]).max() <= 1


def test_a_preview_shows_what_the_full_run_will_show(shot, whole, tmp_path):
    """Its first latent frame covers the same frame, and noise belongs to the frame."""
    options = replace(SMALL, start=0.0, end=1 / 25)
    restore(shot, tmp_path / "one.mkv", options, plan=PLAN)
    other = replace(options, seed=8)
    restore(shot, tmp_path / "other.mkv", other, plan=PLAN)
    shown, otherwise = frames_of(tmp_path / "one.mkv"), frames_of(tmp_path / "other.mkv")
    assert np.abs(shown - whole[:1]).mean() < np.abs(otherwise - whole[:1]).mean()


def test_rate_times_sound_and_size_are_kept(tmp_path):
    sound = clicks(0.8, (0.1, 0.5))
    source = clip(tmp_path / "talk.mp4", (12, 8), tracks=(sound,), metadata={"title": "A talk"})
    result = restore(source, None, Options(model="preview", size="64x48"))
    assert result.output == tmp_path / "talk_restored.mp4"
    before, after = probe(source), probe(result.output)
    assert (after.width, after.height) == (64, 48)
    assert times_of(result.output) == times_of(source)
    assert [stream.codec for stream in after.audio] == [stream.codec for stream in before.audio]
    assert after.metadata["title"] == "A talk"
    assert "preview" in after.metadata["comment"]
    assert result.frames == 20
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("frames", [1, 2, 4])
def test_clips_of_a_few_frames(frames, tmp_path):
    source = clip(tmp_path / "tiny.mp4", (frames,))
    assert restore(source, tmp_path / "out.mkv", SMALL, plan=PLAN).frames == frames
    assert len(frames_of(tmp_path / "out.mkv")) == frames


def test_an_odd_size_is_kept_exactly(tmp_path):
    source = clip(tmp_path / "odd.mkv", (2,), (25, 33), pixel_format="yuv444p")
    options = replace(PREVIEW, size="51x37", fit="stretch")
    restore(source, tmp_path / "out.mkv", options)
    assert frames_of(tmp_path / "out.mkv").shape == (2, 37, 51, 3)


def test_progress_grows_and_names_the_model_first(tmp_path):
    source = clip(tmp_path / "film.mp4", (5, 4))
    told: list[Progress] = []
    restore(source, tmp_path / "out.mkv", PREVIEW, on_progress=told.append)
    assert told[0].notes[0].startswith("Model: preview (the small built-in model, not SeedVR2)")
    assert {"encode", "restore", "decode", "join"} <= {progress.stage for progress in told}
    assert told[-1].done == pytest.approx(1.0)
    assert told[-1].frames_done == told[-1].frames_total == 9


@pytest.mark.parametrize("stage", ["encode", "restore", "decode"])
def test_what_is_stopped_goes_on_and_ends_the_same(stage, tmp_path):
    """The kills of `test_kill` are harder; this one also shows what is repeated."""
    source = clip(tmp_path / "film.mp4", (70, 6))
    undisturbed = tmp_path / "undisturbed.mkv"
    restore(source, undisturbed, PREVIEW)
    output, seen = tmp_path / "out.mkv", []

    def far_enough():
        return bool(seen) and seen[-1].stage == stage and seen[-1].shot == (1 if stage == "encode" else 0)

    with pytest.raises(Cancelled):
        restore(source, output, PREVIEW, on_progress=seen.append, cancelled=far_enough)
    assert not output.exists()
    before = seen[-1].done
    again: list[Progress] = []
    restore(source, output, PREVIEW, on_progress=again.append)
    resumed = next(progress for progress in again if progress.stage in ("encode", "restore", "decode"))
    assert resumed.done > 0 or before < 0.2
    assert np.array_equal(frames_of(output), frames_of(undisturbed))
    assert times_of(output) == times_of(undisturbed)


def test_an_existing_output_is_not_replaced_unasked(tmp_path):
    source, output = clip(tmp_path / "a.mp4", (1,)), tmp_path / "b.mkv"
    output.write_bytes(b"precious")
    with pytest.raises(UsageError, match="exists"):
        restore(source, output, PREVIEW)
    assert output.read_bytes() == b"precious"
    restore(source, output, PREVIEW, overwrite=True)
    assert len(frames_of(output)) == 1
    with pytest.raises(UsageError, match="input"):
        restore(output, output, PREVIEW, overwrite=True)


def test_a_start_behind_the_end_of_the_clip_is_told(tmp_path):
    source = clip(tmp_path / "a.mp4", (3,))
    with pytest.raises(InputError, match="no frame"):
        restore(source, tmp_path / "b.mkv", replace(PREVIEW, start=9.0))


def test_a_folder_that_is_not_there_is_told_before_any_work(tmp_path):
    source = clip(tmp_path / "a.mp4", (1,))
    with pytest.raises(OutputError, match="does not exist"):
        restore(source, tmp_path / "nowhere" / "b.mkv", PREVIEW)


def test_a_cut_off_clip_is_restored_up_to_the_cut_with_a_warning(tmp_path):
    source = clip(tmp_path / "whole.mkv", (30,), gop=6)
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(source.read_bytes()[: source.stat().st_size * 6 // 10])
    result = restore(cut, tmp_path / "out.mkv", PREVIEW)
    assert 0 < result.frames < 30
    assert any("cut" in warning or "ends at" in warning for warning in result.warnings)


def test_a_stop_right_after_the_last_latent_of_a_shot_finds_its_cut_again(tmp_path):
    """The last latent was filled up with the last frame; what follows belongs to the next shot."""
    source, output = clip(tmp_path / "film.mp4", (3, 4)), tmp_path / "out.mkv"
    seen: list[Progress] = []
    with pytest.raises(Cancelled):
        restore(
            source,
            output,
            SMALL,
            plan=PLAN,
            on_progress=seen.append,
            cancelled=lambda: seen[-1].stage == "restore",
        )
    (state,) = tmp_path.glob(".out.mkv.*/state.json")
    state.write_text(json.dumps({"shots": [{"first": 0, "frames": None}], "ended": False}))
    assert restore(source, output, SMALL, plan=PLAN).shots == (0, 3)


@pytest.mark.parametrize("stage", ["encode", "restore", "decode"])
def test_where_memory_runs_out_the_clip_goes_on_with_less_and_says_so(stage, tmp_path):
    source = clip(tmp_path / "film.mp4", (12,))
    restore(source, tmp_path / "easy.mkv", PREVIEW, plan=PLAN)
    seen, failures = [], iter(range(3))

    def run_out():
        # Asked from inside of the stage, where an allocation would have failed.
        if seen[-1].stage == stage and next(failures, None) is not None:
            raise torch.OutOfMemoryError("no memory")
        return False

    result = restore(
        source, tmp_path / "hard.mkv", PREVIEW, plan=PLAN, on_progress=seen.append, cancelled=run_out
    )
    assert np.abs(frames_of(tmp_path / "hard.mkv") - frames_of(tmp_path / "easy.mkv")).max() <= 1
    assert result.plan != PLAN.describe()


def test_weights_that_find_no_room_on_the_device_wait_in_host_memory(shot, whole, tmp_path, monkeypatch):
    load, failures = model.load_dit, iter(range(1))

    def short_of_memory(*arguments):
        if next(failures, None) is not None:
            raise torch.OutOfMemoryError("no memory")
        return load(*arguments)

    monkeypatch.setattr(model, "load_dit", short_of_memory)
    result = restore(shot, tmp_path / "out.mkv", SMALL, plan=PLAN)
    assert "weights in host memory" in result.plan
    assert np.abs(frames_of(tmp_path / "out.mkv") - whole).max() <= 1


def test_a_kept_model_serves_the_next_restoration_and_no_other(shot, whole, tmp_path, monkeypatch):
    loaded = []
    load = model.load_dit
    monkeypatch.setattr(model, "load_dit", lambda *arguments: loaded.append(1) or load(*arguments))
    try:
        for name in ("a.mkv", "b.mkv"):
            restore(shot, tmp_path / name, SMALL, plan=PLAN, keep_model=True)
            assert np.abs(frames_of(tmp_path / name) - whole).max() <= 1
        assert len(loaded) == 1
        on_host = replace(PLAN, weight_place="host")
        restore(shot, tmp_path / "c.mkv", SMALL, plan=on_host, keep_model=True)
        restore(shot, tmp_path / "d.mkv", PREVIEW, plan=PLAN, keep_model=True)
        restore(shot, tmp_path / "e.mkv", SMALL, plan=PLAN)
        assert len(loaded) == 3
    finally:
        model.drop()


def test_where_nothing_saves_enough_memory_the_error_says_what_to_do(tmp_path):
    source = clip(tmp_path / "film.mp4", (3,))

    def run_out():
        raise torch.OutOfMemoryError("no memory")

    with pytest.raises(MemoryBudgetError) as caught:
        restore(source, tmp_path / "out.mkv", PREVIEW, plan=PLAN, cancelled=run_out)
    assert "smaller size" in caught.value.remedy
    assert not (tmp_path / "out.mkv").exists()
