"""The process that restores: claims one job after another, keeps the model warm, ends when nobody needs it.

`torchrun --standalone --nproc-per-node=GPUS -m seedvr_engine.jobs.worker SERVER`, started by
`jobs.supervisor`. Rank 0 works as said; the other ranks help it (`jobs.helper`).
"""

import logging
import os
import sys
import time

import psutil
import torch
import torch.distributed

from seedvr_engine.jobs import liveness, processes
from seedvr_engine.jobs.claims import Claims
from seedvr_engine.jobs.database import Database
from seedvr_engine.jobs.folders import Folders
from seedvr_engine.jobs.helper import Helper
from seedvr_engine.jobs.rates import RateStore
from seedvr_engine.jobs.run import Runner
from seedvr_engine.jobs.store import JobStore
from seedvr_engine.logs import configure_logging, logging_job
from seedvr_engine.pipeline.heap import give_back_gpu
from seedvr_engine.pipeline.machine import set_processes
from seedvr_engine.settings import Settings, get_settings

_POLL_S = 0.1
_log = logging.getLogger(__name__)


def main() -> None:
    """Works until it was idle for long, was spoilt by a failure, or its server is gone."""
    server = sys.argv[1]
    liveness.end_with(liveness.find_server(server))
    settings = get_settings()
    configure_logging("worker", settings)
    rank, ranks = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    set_processes(ranks)
    owner = _meet(ranks)
    folders = Folders.of(settings)
    database = Database(folders.database)
    store = JobStore(database, folders)
    store.add_worker(os.getpid(), processes.birth(os.getpid()))
    if rank:
        Helper(store, folders, rank, ranks, owner).work()
    else:
        claims = Claims(database, folders, server, f"{os.getpid()}@{processes.birth(os.getpid()):.2f}")
        _work(settings, store, claims, Runner(claims, folders, RateStore(database), ranks))
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
            is_spoilt = runner.run(claim)
        give_back_gpu()
        if is_spoilt:
            _log.warning("memory ran out or a process hangs; a new worker goes on")
            return
        idle_since = time.monotonic()
    _log.info("idle for %.0f s; the worker ends", settings.keep_warm_s)


def _meet(ranks: int) -> psutil.Process:
    """Meets the other ranks; returns the process of rank 0. A single GPU needs nobody."""
    if ranks == 1 and torch.cuda.is_available():
        return psutil.Process()
    # They tell each other who they are and no more: what they share lies on the disk.
    torch.distributed.init_process_group("gloo")
    told = [os.getpid()]
    torch.distributed.broadcast_object_list(told, src=0)
    return psutil.Process(told[0])


if __name__ == "__main__":
    main()
