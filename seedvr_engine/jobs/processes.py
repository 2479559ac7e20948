"""Processes told by number and time of birth, so that a reused number is never taken for the old process."""

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil

import seedvr_engine

# The system's clock may be set while a process lives, which moves the time of birth that it reports.
_CLOCK_TOLERANCE_S = 2.0
_GONE_S, _POLL_S = 5.0, 0.01


def environment_with_code() -> dict[str, str]:
    """This process's own environment, in which Python finds this code: it may have been started anywhere."""
    paths = (str(Path(seedvr_engine.__file__).parents[1]), os.environ.get("PYTHONPATH", ""))
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def birth(pid: int) -> float:
    """When a process was started, Unix seconds; 0 for one that is not there."""
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return 0.0


def find(pid: int, create_time: float) -> psutil.Process | None:
    """The living process of this number and time of birth."""
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - create_time) < _CLOCK_TOLERANCE_S
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None


def is_alive(process: psutil.Process) -> bool:
    """Whether it runs; one that has ended and waits to be asked for its code does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def end_all(processes: Iterable[psutil.Process]) -> None:
    """Kills processes with their groups and all that they started; returns when they are gone."""
    doomed: dict[int, psutil.Process] = {}
    for process in processes:
        # Stopped first, so that none of them starts another one behind our back.
        _signal(process, signal.SIGSTOP)
        doomed[process.pid] = process
        with suppress(psutil.NoSuchProcess):
            doomed |= {child.pid: child for child in process.children(recursive=True)}
    for process in doomed.values():
        _signal(process, signal.SIGKILL)
    deadline = time.monotonic() + _GONE_S
    while any(map(_is_left, doomed.values())) and time.monotonic() < deadline:
        time.sleep(_POLL_S)


def _is_left(process: psutil.Process) -> bool:
    # An orphan's zombie waits for the first process of the system; in a container that may be this one.
    with suppress(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)
    return is_alive(process)


def _signal(process: psutil.Process, number: int) -> None:
    """Signals the whole group where the process leads one, else the process alone."""
    try:
        # A process that is gone may have given its number to another one.
        if not process.is_running():
            return
        if os.getpgid(process.pid) == process.pid and process.pid != os.getpgrp():
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
    except (ProcessLookupError, psutil.NoSuchProcess):
        return
