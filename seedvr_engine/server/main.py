"""Starts the server: settings, log, processor, link, page, and the lines that say so."""

import os
import signal
import socket
import sys
import tempfile

import uvicorn

from seedvr_engine.errors import SeedVRError
from seedvr_engine.jobs.downloads import get_downloads
from seedvr_engine.jobs.processor import SeedVRProcessor, get_processor
from seedvr_engine.logs import configure_logging
from seedvr_engine.server.hosts import Hosts
from seedvr_engine.server.share import Share, open_share
from seedvr_engine.server.visitors import Visitors
from seedvr_engine.settings import POD, Settings, SettingsError, get_settings, workspace

# Streams of events would never end by themselves.
_GOODBYE_S = 3


def main() -> None:
    """Serves until it is stopped. Exits with the code of what was wrong."""
    # A service manager's way to say Ctrl-C; by default it would leave the worker to find out.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    try:
        settings = get_settings()
        _serve(settings)
    except KeyboardInterrupt:
        sys.exit(130)
    except SeedVRError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


def _serve(settings: Settings) -> None:
    say("Starting …")
    # The port first: whoever starts it twice is told so before anything else happens.
    listening = _listen(settings)
    processor = get_processor()
    try:
        configure_logging("server", settings)
        _keep_temporary_files(settings)
        port = listening.getsockname()[1]
        share = open_share(settings, port) if settings.share else Share()
        for line in start_lines(settings, processor, port, share):
            say(line)
        _run(settings, processor, listening, share)
    finally:
        processor.stop()


def _run(settings: Settings, processor: SeedVRProcessor, listening: socket.socket, share: Share) -> None:
    from seedvr_engine.server.app import create_app

    hosts = Hosts(settings)
    if share.url:
        hosts.add(share.host)
    visitors = Visitors(settings, share.users)
    app = create_app(settings, processor, hosts=hosts, visitors=visitors, downloads=get_downloads())
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        # The guard reads what it needs of a proxy's headers itself; addresses in them can be made up.
        proxy_headers=False,
        timeout_graceful_shutdown=_GOODBYE_S,
    )
    say("Ready. Ctrl-C stops it; a job under way goes on at the next start.")
    uvicorn.Server(config).run([listening])


def start_lines(settings: Settings, processor: SeedVRProcessor, port: int, share: Share) -> list[str]:
    """What somebody who starts it wants to know: where it is, where its files are, what it can do."""
    shown = "localhost" if settings.host in ("0.0.0.0", "::", "") else settings.host
    place = str(workspace())
    if workspace() != POD:
        place += ", as there is no /workspace that can be written"
    models = [model.name for model in processor.check_available_models() if model.present]
    gpus = [f"{gpu.label} ({gpu.total_bytes / 1e9:.0f} GB)" for gpu in processor.system().gpus]
    pod = os.environ.get("RUNPOD_POD_ID")
    lines = [
        f"Page:     http://{shown}:{port}{settings.root_path}",
        f"Pod:      https://{pod}-{settings.port}.proxy.runpod.net" if pod else "",
        f"Share:    {share.url}" if share.url else share.problem,
        *(f"          user {user}, password {password}" for user, password in (share.users or {}).items()),
        f"Files:    {place}",
        f"          results {settings.outputs}, jobs {settings.data}, inbox {settings.inputs}",
        f"Models:   {', '.join(models)}, in {settings.ckpts}",
        f"Devices:  {', '.join(gpus) if gpus else 'CPU; the preview model runs on it'}",
        f"Sign-in:  {'needed' if settings.auth or share.users else 'none; visitors see only their own jobs'}",
        "Tools:    MCP at /mcp" if settings.mcp else "",
    ]
    return [line for line in lines if line]


def say(line: str) -> None:
    """Tells whoever starts the program; at once, also into a pipe."""
    print(line, flush=True)


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
    except (OSError, socket.gaierror) as error:
        listening.close()
        raise SettingsError(
            f"GRADIO_HOST {settings.host}, GRADIO_PORT {settings.port}: {error.strerror or error}.",
            remedy="Stop what listens there, or choose another port.",
        ) from error
    return listening


def _keep_temporary_files(settings: Settings) -> None:
    """Large forms pass through temporary files, which belong on the disk that has room for them."""
    folder = settings.data / "scratch"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    tempfile.tempdir = str(folder)
