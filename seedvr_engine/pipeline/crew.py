"""Processes for the other GPUs of this machine, for a restoration outside of a worker, which has its own."""

import logging
import multiprocessing
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

from seedvr_engine.errors import SeedVRError
from seedvr_engine.media.info import MediaInfo
from seedvr_engine.pipeline.machine import devices_that_share, set_processes
from seedvr_engine.pipeline.options import Options

_log = logging.getLogger(__name__)


@contextmanager
def helping(info: MediaInfo, output: Path, options: Options) -> Iterator[int]:
    """Starts a process for each further device that may share the shots; gives how many there are.

    They end with the block, and with this process: at once, for whatever is finished has its final name. One
    that fails is missed by nobody, its shots are done here. A picture is no work for several.
    """
    alone = info.kind == "image" or options.device != "auto"
    names = [options.device] if alone else devices_that_share(options.gpus)
    context = multiprocessing.get_context("spawn")
    # Nothing is ever sent: what the helpers see is that the other end is gone.
    theirs, ours = context.Pipe(duplex=False)
    helpers = [
        context.Process(
            target=_help,
            args=(info, output, replace(options, device=name), theirs, len(names)),
            name=f"helper-{name}",
            daemon=True,
        )
        for name in names[1:]
    ]
    set_processes(len(names))
    for helper in helpers:
        helper.start()
    try:
        yield len(helpers)
    finally:
        ours.close()
        for helper in helpers:
            helper.kill()
            helper.join()
        theirs.close()
        set_processes(1)


def _help(info: MediaInfo, output: Path, options: Options, owner: Connection, count: int) -> None:
    # Ctrl-C reaches every process of a terminal; the one that was asked to restore decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from seedvr_engine.pipeline.restore import help_restore

    set_processes(count)
    try:
        help_restore(info.path, output, options, is_over=owner.poll, info=info)
    except SeedVRError as error:
        _log.warning("no help from %s: %s", options.device, error.message)
