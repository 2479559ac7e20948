"""The process that restores: claims one job after another, keeps the model warm, ends when nobody needs it.

`torchrun --standalone --nproc-per-node=1 -m seedvr_engine.jobs.worker SERVER`, started by `jobs.supervisor`.
"""

import logging
import os
import sys
import time

import torch
import torch.distributed

from seedvr_engine.jobs import liveness, processes
from seedvr_engine.jobs.claims import Claims
from seedvr_engine.jobs.database import Database
from seedvr_engine.jobs.folders import Folders
from seedvr_engine.jobs.rates import RateStore
from seedvr_engine.jobs.run import Runner
from seedvr_engine.jobs.store import JobStore
from seedvr_engine.logs import configure_logging, logging_job
from seedvr_engine.pipeline.heap import give_back_gpu
from seedvr_engine.settings import Settings, get_settings

_POLL_S = 0.1
_log = logging.getLogger(__name__)


def main() -> None:
    """Works until it was idle for long, ran out of memory, or its server is gone."""
    server = sys.argv[1]
    liveness.end_with(liveness.find_server(server))
    settings = get_settings()
    configure_logging("worker", settings)
    _join_group()
    folders = Folders.of(settings)
    database = Database(folders.database)
    store = JobStore(database, folders)
    store.add_worker(os.getpid(), processes.birth(os.getpid()))
    claims = Claims(database, folders, server, f"{os.getpid()}@{processes.birth(os.getpid()):.2f}")
    _work(settings, store, claims, Runner(claims, folders, RateStore(database)))
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _work(settings: Settings, store: JobStore, claims: Claims, runner: Runner) -> None:
    idle_since = time.monotonic()
    while time.monotonic() - idle_since < settings.keep_warm_s or store.has_queued():
        claim = claims.claim(settings.timeout_s) if store.has_queued() else None
        if claim is None:
            time.sleep(_POLL_S)
            continue
        with logging_job(claim.job.id):
            out_of_memory = runner.run(claim)
        give_back_gpu()
        if out_of_memory:
            _log.warning("memory ran out; a new worker goes on")
            return
        idle_since = time.monotonic()
    _log.info("idle for %.0f s; the worker ends", settings.keep_warm_s)


def _join_group() -> None:
    """Meets the other ranks; a single GPU needs nobody."""
    if not torch.cuda.is_available():
        torch.distributed.init_process_group("gloo")
    elif int(os.environ.get("WORLD_SIZE", "1")) > 1:
        torch.distributed.init_process_group("nccl")


if __name__ == "__main__":
    main()
