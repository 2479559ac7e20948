"""`seedvr doctor --bundle`: enough to find a fault, nothing that is private."""

import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from seedvr_engine.bundle import write_bundle
from seedvr_engine.errors import OutputError
from seedvr_engine.jobs.processor import SeedVRProcessor
from seedvr_engine.pipeline.options import Options
from seedvr_engine.settings import Settings
from tests.media.clips import scene, write_clip


@pytest.fixture
def settings(tmp_path, monkeypatch) -> Settings:
    """A data folder with a job that failed, and a log."""
    monkeypatch.setenv("HF_TOKEN", "hf_neverneverneverseen")
    # Nothing is to run: a job is queued, and that is all that is looked at.
    settings = replace(Settings(), data=tmp_path / "data", outputs=tmp_path / "out", auth="ann:hush-hush")
    clip = write_clip(tmp_path / "Omas Geburtstag.mp4", scene(1, 2, (24, 32)))
    processor = SeedVRProcessor(settings)
    processor.start()
    try:
        processor.process_video(clip, Options(model="preview", seed=77), owner="visitor:somebody")
    finally:
        processor.stop()
    log = "decode of Omas Geburtstag.mp4 took 3 s\nAuthorization: Bearer hf_neverneverneverseen\nhush-hush\n"
    (settings.data / "logs" / "server.log").write_text(log)
    return settings


def test_a_bundle_holds_what_a_maintainer_needs(settings, tmp_path):
    names = write_bundle(tmp_path / "bundle.zip", settings)
    assert {"doctor.txt", "settings.json", "database.sql", "jobs.json", "logs/server.log"} <= set(names)
    with zipfile.ZipFile(tmp_path / "bundle.zip") as bundle:
        (job,) = json.loads(bundle.read("jobs.json"))
        assert json.loads(job["options"])["seed"] == 77
        assert "CREATE TABLE jobs" in bundle.read("database.sql").decode()
        assert "decode of CLIP 1 took 3 s" in bundle.read("logs/server.log").decode()


def test_a_bundle_holds_no_secret_and_no_name(settings, tmp_path):
    write_bundle(tmp_path / "bundle.zip", settings)
    with zipfile.ZipFile(tmp_path / "bundle.zip") as bundle:
        text = "".join(bundle.read(name).decode() for name in bundle.namelist())
    for private in ("neverneverneverseen", "hush-hush", "Geburtstag", "somebody"):
        assert private not in text, private


def test_a_bundle_that_cannot_be_written_leaves_nothing(settings, tmp_path):
    with pytest.raises(OutputError):
        write_bundle(tmp_path / "nowhere" / "bundle.zip", settings)
    (tmp_path / "taken.zip").mkdir()
    with pytest.raises(OutputError):
        write_bundle(tmp_path / "taken.zip", settings)
    assert not list(tmp_path.glob(".*"))


def test_the_command_writes_it_also_without_a_data_folder(tmp_path):
    command = [sys.executable, "-m", "seedvr_engine.cli", "doctor", "--bundle", str(tmp_path / "b.zip")]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert Path(tmp_path / "b.zip").exists()
    assert "Look through it" in done.stdout
