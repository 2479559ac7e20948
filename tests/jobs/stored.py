"""A store in a folder of its own, and jobs to put into it."""

import uuid
from pathlib import Path

from seedvr_engine.jobs.claims import Claims
from seedvr_engine.jobs.database import Database
from seedvr_engine.jobs.folders import Folders
from seedvr_engine.jobs.inputs import InputStore
from seedvr_engine.jobs.messages import Job, Kind, StoredInput
from seedvr_engine.jobs.store import JobStore, NewJob
from seedvr_engine.pipeline.options import Options
from seedvr_engine.settings import Settings

SERVER = "server"


class Stored:
    """Everything that works on one data folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folders = Folders.of(settings_in(root))
        self.database = Database(self.folders.database)
        self.jobs = JobStore(self.database, self.folders)
        self.inputs = InputStore(self.database, self.folders)
        self.jobs.enter_server(SERVER)

    def claims(self, worker: str = "worker", server: str = SERVER) -> Claims:
        return Claims(self.database, self.folders, server, worker)

    def input(self, content: bytes = b"a clip", name: str = "clip.mp4", **more) -> StoredInput:
        path = self.root / name
        path.write_bytes(content)
        return self.inputs.add(path, name, **more)

    def add(self, kind: Kind = "full", owner: str = "local", **limits: int) -> Job:
        job_id = uuid.uuid4().hex
        output = "after.png" if kind == "frame" else f"clip_restored_{job_id[:8]}.mp4"
        stored = self.input()
        new = NewJob(job_id, owner, kind, stored.name, stored, Options(seed=7), output)
        return self.jobs.add(new, **limits)


def settings_in(root: Path, **more) -> Settings:
    """Settings whose folders all lie in one."""
    folders = {name: root / name for name in ("ckpts", "outputs", "data", "inputs")}
    return Settings(**folders, **more)
