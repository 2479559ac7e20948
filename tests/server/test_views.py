"""Before and after, over HTTP: stills, copies for the browser, moments of uploads; everybody's own alone."""

import io
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from seedvr_engine.jobs.errors import NotReadyError
from seedvr_engine.jobs.messages import Job, StoredInput
from seedvr_engine.media.probe import probe
from seedvr_engine.media.read import read_frames
from seedvr_engine.media.view import plays_everywhere
from seedvr_engine.pipeline.options import Options
from seedvr_engine.server.answers import NotFoundError
from seedvr_engine.server.views import pair_of
from tests.media.clips import ClipSpec, scene, write_clip
from tests.server.serving import serving, submit, wait_for

_PATIENCE_S = 60


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    """20 frames of 32x24, 25 a second."""
    return write_clip(tmp_path_factory.mktemp("clips") / "film.mp4", scene(2, 20, (24, 32), speed=1))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("views")) as server:
        yield server


@pytest.fixture(scope="module")
def visitor(server):
    with server.client() as client:
        yield client


@pytest.fixture(scope="module")
def done(visitor, film) -> str:
    """A job whose result no browser plays, from 0.2 s of the film on."""
    sent = submit(visitor, film, start=0.2, container="mkv", codec="ffv1")
    assert wait_for(visitor, sent["id"], "done", "failed")["state"] == "done"
    return sent["id"]


@pytest.fixture(scope="module")
def upload(visitor, film) -> str:
    """The film, uploaded."""
    sizes = {"Tus-Resumable": "1.0.0", "Upload-Length": str(film.stat().st_size)}
    made = visitor.post("/api/uploads", headers={**sizes, "Upload-Metadata": "filename ZmlsbS5tcDQ="})
    place = made.headers["location"].rsplit("/", 1)[-1]
    piece = {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    sent = visitor.patch(f"/api/uploads/{place}", content=film.read_bytes(), headers={**sizes, **piece})
    assert sent.status_code == 204
    deadline = time.monotonic() + _PATIENCE_S
    while not visitor.get(f"/api/uploads/{place}").json()["input"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return place


def picture(answer: httpx.Response) -> np.ndarray:
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"))


def copy_of(visitor: httpx.Client, address: str) -> bytes:
    """Asks until a copy is there."""
    deadline = time.monotonic() + _PATIENCE_S
    while (answer := visitor.get(address)).status_code == 202:
        assert 0 <= answer.json()["progress"] <= 1
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert answer.status_code == 200, answer.text
    return answer.content


def test_a_comparison_knows_its_frames(visitor, done):
    facts = visitor.get(f"/api/jobs/{done}/view").json()
    assert facts == {
        **{"kind": "video", "frames": 15, "rate": 25.0, "times": None, "width": 64, "height": 48},
        **{"duration_s": pytest.approx(0.6), "sound": False},
    }


def test_stills_are_the_frames_of_result_and_original_at_one_size(server, visitor, done, film):
    result = next((server.folder / "outputs").glob("film_restored_*.mkv"))
    restored, originals = list(read_frames(probe(result))), list(read_frames(probe(film)))
    for number in (0, 7, 14):
        after = picture(visitor.get(f"/api/jobs/{done}/frames/{number}/after"))
        assert np.array_equal(after, restored[number].rgb)
        before = picture(visitor.get(f"/api/jobs/{done}/frames/{number}/before"))
        # The result begins with the sixth frame of the film.
        original = Image.fromarray(originals[number + 5].rgb).resize((64, 48), Image.Resampling.BICUBIC)
        assert np.array_equal(before, np.asarray(original))


def test_a_frame_that_there_is_not_is_a_404(visitor, done):
    assert visitor.get(f"/api/jobs/{done}/frames/15/after").status_code == 404
    assert visitor.get(f"/api/jobs/{done}/frames/-1/after").status_code == 404
    assert visitor.get(f"/api/jobs/{done}/frames/1/beside").status_code == 422


def test_both_copies_play_and_have_the_same_frames(visitor, done, tmp_path):
    clips = []
    for side in ("before", "after"):
        path = tmp_path / f"{side}.mp4"
        path.write_bytes(copy_of(visitor, f"/api/jobs/{done}/view/{side}.mp4"))
        assert plays_everywhere(probe(path))
        clips.append(list(read_frames(probe(path))))
    assert [frame.time for frame in clips[0]] == [frame.time for frame in clips[1]]
    assert [frame.time for frame in clips[0]] == [Fraction(n, 25) for n in range(15)]


def test_copies_answer_ranges(visitor, done):
    whole = copy_of(visitor, f"/api/jobs/{done}/view/after.mp4")
    part = visitor.get(f"/api/jobs/{done}/view/after.mp4", headers={"Range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, b"ftyp")
    head = visitor.head(f"/api/jobs/{done}/view/after.mp4")
    assert (head.status_code, int(head.headers["content-length"])) == (200, len(whole))


def test_a_result_that_browsers_play_is_served_as_it_is(server, visitor, film):
    sent = submit(visitor, film, seed=5)
    assert wait_for(visitor, sent["id"], "done", "failed")["state"] == "done"
    answer = visitor.get(f"/api/jobs/{sent['id']}/view/after.mp4")
    assert answer.status_code == 200
    assert answer.content == visitor.get(f"/api/jobs/{sent['id']}/result").content


@pytest.mark.parametrize("kind", ["frame", "clip"])
def test_previews_are_compared_with_the_same_place_of_the_original(visitor, upload, kind):
    asked = {"upload": upload, "kind": kind, "moment_s": 0.4, "options": {"model": "preview"}}
    sent = visitor.post("/api/jobs", json=asked).json()
    assert wait_for(visitor, sent["id"], "done", "failed")["state"] == "done"
    facts = visitor.get(f"/api/jobs/{sent['id']}/view").json()
    assert facts["kind"] == ("image" if kind == "frame" else "video")
    assert facts["frames"] == (1 if kind == "frame" else 10)
    before, after = (
        picture(visitor.get(f"/api/jobs/{sent['id']}/frames/0/{s}")) for s in ("before", "after")
    )
    assert before.shape == after.shape == (48, 64, 3)
    # The same scene: nearer to each other than to the scene one frame on, which has moved by two pixels.
    assert (
        np.abs(before.astype(int) - after).mean() < np.abs(np.roll(before, 2, 1).astype(int) - after).mean()
    )
    if kind == "clip":
        for side in ("before", "after"):
            assert copy_of(visitor, f"/api/jobs/{sent['id']}/view/{side}.mp4")[4:8] == b"ftyp"


def test_a_moment_of_an_upload_is_seen_before_it_is_restored(visitor, upload, film):
    shown = picture(visitor.get(f"/api/uploads/{upload}/frame?at=0.42"))
    originals = list(read_frames(probe(film)))
    errors = [np.abs(frame.rgb.astype(int) - shown).mean() for frame in originals]
    assert int(np.argmin(errors)) == 10
    assert visitor.get(f"/api/uploads/{upload}/frame?at=1e5").status_code == 200
    assert visitor.get(f"/api/uploads/{upload}/frame?at=-1").status_code == 422


def test_a_moment_of_the_inbox_and_of_an_example_is_seen_too(server, visitor, film):
    kept = server.folder / "inputs" / "år 1990" / "film & more.mp4"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(film.read_bytes())
    shown = picture(visitor.get("/api/inbox/frame", params={"name": "år 1990/film & more.mp4", "at": 0.42}))
    errors = [np.abs(frame.rgb.astype(int) - shown).mean() for frame in read_frames(probe(film))]
    assert int(np.argmin(errors)) == 10
    assert visitor.get("/api/inbox/frame", params={"name": "../data/secret"}).status_code == 404
    moments = [visitor.get(f"/api/examples/old_film/frame?at={at}").content for at in (0, 3)]
    assert moments[0] != moments[1]
    assert visitor.get("/api/examples/none/frame").status_code == 404


def test_nobody_sees_what_is_somebody_elses(server, done, upload):
    with server.client() as stranger:
        for address in (
            *(f"jobs/{done}/view", f"jobs/{done}/frames/0/before", f"jobs/{done}/frames/0/after"),
            *(f"jobs/{done}/view/before.mp4", f"jobs/{done}/view/after.mp4", f"uploads/{upload}/frame"),
        ):
            assert stranger.get(f"/api/{address}").status_code == 404, address


def test_a_job_that_is_not_done_has_nothing_to_compare(tmp_path, film):
    stored = StoredInput("0", film, "film.mp4", 1)
    job = Job("1", "local", "full", "film.mp4", stored, Options(), "running", 0.0, 1)
    with pytest.raises(NotReadyError):
        pair_of(job, tmp_path)
    with pytest.raises(NotFoundError):
        pair_of(replace(job, state="done", result=tmp_path / "gone.mp4"), tmp_path)


def test_an_original_lies_where_the_restoration_put_it(tmp_path):
    """Padded to a square, of a clip that counts its time from anywhere."""
    source = write_clip(tmp_path / "tape.ts", scene(3, 6, (24, 48)), ClipSpec())
    result = write_clip(tmp_path / "r.mp4", scene(3, 6, (96, 96)), ClipSpec())
    stored = StoredInput("0", source, "tape.ts", 1)
    job = Job("1", "local", "full", "tape.ts", stored, Options(size="96x96", fit="pad"), "done", 0.0, 1)
    pair = pair_of(replace(job, result=result), tmp_path)
    assert pair.shift == probe(source).start
    before = np.asarray(Image.open(io.BytesIO(pair.frame("before", 2))))
    assert before.shape == (96, 96, 3)
    assert not before[:24].any()
    assert not before[72:].any()
    assert before[24:72].any(axis=(1, 2)).all()
