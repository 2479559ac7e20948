"""Finished work is found again, whole, and nothing else is."""

import itertools

import pytest
import torch

from seedvr_engine.errors import UsageError
from seedvr_engine.pipeline.counts import frames_of, latents_of
from seedvr_engine.pipeline.stages.restore import stretches
from seedvr_engine.pipeline.work import Latents, Shot, Work, work_key


def runs_of(value: float, length: int) -> torch.Tensor:
    return torch.full((length, 2, 2, 3), value)


def test_latents_come_back_from_any_runs(tmp_path):
    kept = Latents(tmp_path / "latents")
    latents = torch.randn(40, 2, 2, 3, generator=torch.Generator().manual_seed(0))
    for start in (0, 16, 32):
        kept.write(start, latents[start : start + 16])
    assert kept.contiguous() == 40
    for start, stop in ((0, 40), (10, 20), (31, 33)):
        assert torch.equal(kept.read(start, stop), latents[start:stop])


def test_a_gap_ends_what_counts_as_done_and_is_never_read_over(tmp_path):
    kept = Latents(tmp_path)
    kept.write(0, runs_of(1, 4))
    kept.write(6, runs_of(1, 4))
    assert kept.contiguous() == 4
    with pytest.raises(ValueError, match="not there"):
        kept.read(2, 8)


def test_a_run_that_was_not_finished_does_not_count(tmp_path):
    kept = Latents(tmp_path)
    kept.write(0, runs_of(1, 4))
    (tmp_path / "000004-000008.part").write_bytes(b"half")
    assert kept.runs() == [(0, 4)]


def test_stretches_fade_into_each_other_evenly_whatever_part_is_read(tmp_path):
    kept = Latents(tmp_path)
    kept.write(0, runs_of(0.0, 6))
    kept.write(4, runs_of(3.0, 6))
    faded = kept.read(0, 10)[:, 0, 0, 0]
    assert faded.tolist() == pytest.approx([0, 0, 0, 0, 1, 2, 3, 3, 3, 3])
    for start, stop in ((4, 5), (5, 7), (3, 6)):
        assert kept.read(start, stop)[:, 0, 0, 0].tolist() == pytest.approx(faded[start:stop].tolist())


def test_shots_survive_a_restart(tmp_path):
    work = Work(tmp_path / "out.mp4", "key")
    work.shots += [Shot(0, 12), Shot(12)]
    work.save()
    with pytest.raises(UsageError, match="running already"):
        Work(tmp_path / "out.mp4", "key")
    work.close()
    again = Work(tmp_path / "out.mp4", "key")
    assert again.shots == [Shot(0, 12), Shot(12, None)]
    assert not again.ended
    again.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_state_that_cannot_be_read_counts_as_none(tmp_path):
    work = Work(tmp_path / "out.mp4", "key")
    work.shots.append(Shot(0, 12))
    work.save()
    work.close()
    (work.folder / "state.json").write_text("")
    assert Work(tmp_path / "out.mp4", "key").shots == []


def test_the_key_follows_content_and_options(tmp_path):
    source = tmp_path / "a.mp4"
    source.write_bytes(b"one")
    key = work_key(source, {"seed": 1})
    assert work_key(source, {"seed": 1}) == key
    assert work_key(source, {"seed": 2}) != key
    source.write_bytes(b"two")
    assert work_key(source, {"seed": 1}) != key


@pytest.mark.parametrize("longest", [4, 5, 9, 33])
@pytest.mark.parametrize("latents", [1, 4, 5, 34, 100])
def test_stretches_cover_a_shot_share_the_overlap_and_keep_the_limit(latents, longest):
    cuts = stretches(latents, longest, 2)
    assert cuts[0][0] == 0
    assert cuts[-1][1] == latents
    assert all(stop - start <= longest for start, stop in cuts)
    assert all(before[1] - after[0] == 2 for before, after in itertools.pairwise(cuts))


@pytest.mark.parametrize("factor", [1, 4])
def test_latents_hold_all_frames_of_a_shot(factor):
    for frames in range(1, 30):
        latents = latents_of(frames, factor)
        assert frames_of(latents, factor) >= frames > frames_of(latents - 1, factor)
