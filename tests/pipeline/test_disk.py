"""The room that a restoration asks for is enough, and not out of all reason."""

from dataclasses import replace

from seedvr_engine.media.probe import probe
from seedvr_engine.pipeline.disk import needed_bytes
from seedvr_engine.pipeline.forecast import foresee
from seedvr_engine.pipeline.restore import restore
from tests.pipeline.runs import PREVIEW, clip

SPARE_BYTES = 50_000_000


def test_a_restoration_takes_no_more_room_than_was_said(tmp_path):
    source, output = clip(tmp_path / "film.mkv", (40,)), tmp_path / "out" / "out.mkv"
    output.parent.mkdir()
    options = replace(PREVIEW, size="160x120")
    said = foresee(probe(source), options, output).disk_bytes - SPARE_BYTES
    taken = []

    def look(_: object) -> None:
        taken.append(sum(path.stat().st_size for path in output.parent.rglob("*") if path.is_file()))

    restore(source, output, options, on_progress=look)
    assert said / 4 < max(taken) <= said


def test_a_long_film_needs_room_for_its_output_and_for_one_long_shot(tmp_path):
    forecast = foresee(probe(clip(tmp_path / "film.mkv", (2,))), PREVIEW, tmp_path / "out.mkv")

    def needed(frames: int) -> int:
        return needed_bytes(forecast.target, forecast.geometry, forecast.model.vae, frames, still=False)

    hour = 25 * 3600
    output = 2 * hour * 64 * 48 * 2.5
    assert needed(2 * hour) - needed(hour) == output
    assert needed(hour) < output + 40 * 1800 * 64 * 48 + SPARE_BYTES
