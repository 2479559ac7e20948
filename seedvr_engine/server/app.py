"""The application: the page, the interface for programs, and the guard before both."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from mcp.server.fastmcp import FastMCP
from starlette.responses import Response
from starlette.types import Lifespan

from seedvr_engine import __version__
from seedvr_engine.jobs.downloads import Downloads
from seedvr_engine.jobs.processor import SeedVRProcessor
from seedvr_engine.server.answers import NotFoundError, answer_failures
from seedvr_engine.server.desk import Desk
from seedvr_engine.server.docs import docs_router
from seedvr_engine.server.examples import examples_router
from seedvr_engine.server.guard import Guard
from seedvr_engine.server.hosts import Hosts
from seedvr_engine.server.jobs import jobs_router
from seedvr_engine.server.pages import PageCache
from seedvr_engine.server.system import system_router
from seedvr_engine.server.tools import make_tools
from seedvr_engine.server.tus import tus_router
from seedvr_engine.server.views import views_router
from seedvr_engine.server.visitors import Visitors, owner_of
from seedvr_engine.settings import Settings

_SWEEP_S = 3600
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


def create_app(
    settings: Settings,
    processor: SeedVRProcessor,
    *,
    hosts: Hosts | None = None,
    visitors: Visitors | None = None,
    downloads: Downloads | None = None,
) -> FastAPI:
    """The whole application. processor: started.

    hosts, visitors: with more names or users than the settings have (a share link's).
    """
    hosts, visitors = hosts or Hosts(settings), visitors or Visitors(settings)
    downloads = downloads or Downloads(settings.ckpts)
    scratch, sent = (_fresh_folder(settings.data / name) for name in ("scratch", "sent"))
    desk = Desk(settings, processor)
    tools = make_tools(desk, visitors) if settings.mcp else None
    app = FastAPI(
        title="SeedVR2 video restoration",
        version=__version__,
        root_path=settings.root_path.rstrip("/"),
        lifespan=_lifespan(desk, downloads, tools),
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    answer_failures(app)
    app.include_router(tus_router(desk.uploads))
    app.include_router(jobs_router(desk, visitors, scratch))
    app.include_router(views_router(desk))
    app.include_router(system_router(settings, processor, downloads))
    app.include_router(examples_router())
    app.include_router(docs_router())
    app.add_api_route("/api/{path:path}", _nothing, include_in_schema=False, methods=_METHODS)
    if tools is not None:
        app.router.routes.extend(tools.streamable_http_app().routes)
    _mount_page(app, settings, desk, visitors, sent)
    app.add_middleware(PageCache)
    app.add_middleware(Guard, hosts=hosts, visitors=visitors, per_minute=settings.requests_per_minute)
    return app


def _nothing(path: str) -> None:
    """Below /api nothing is Gradio's."""
    raise NotFoundError(f"There is no /api/{path}.", remedy="/api/docs shows what there is.")


def _fresh_folder(path: Path) -> Path:
    """An empty folder for what lives as long as a request."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True, mode=0o700)
    return path


def _mount_page(app: FastAPI, settings: Settings, desk: Desk, visitors: Visitors, sent: Path) -> None:
    """Puts the Gradio page at the root, below everything that has a route of its own."""
    # Gradio reads these when it is imported: nothing is told to anybody, nothing is looked up.
    os.environ |= {
        "GRADIO_ANALYTICS_ENABLED": "False",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "GRADIO_TEMP_DIR": str(sent),
    }
    import gradio as gr

    from seedvr_engine.server.endpoints import add_endpoints, sent_router
    from seedvr_engine.ui import PAGE, create_interface
    from seedvr_engine.ui.parts import ASSETS, MOUNT

    page = create_interface(desk.processor, owner_of, desk.input_of)
    with page:
        add_endpoints(desk, visitors, sent)
    page.queue(default_concurrency_limit=None)
    app.include_router(sent_router(desk, sent))
    app.mount(f"/{MOUNT}", _Fresh(directory=ASSETS))
    gr.mount_gradio_app(
        app,
        page,
        path="/",
        server_name=settings.host,
        server_port=settings.port,
        root_path=settings.root_path or None,
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        mcp_server=False,
        **PAGE,
    )


class _Fresh(StaticFiles):
    """Files that a browser asks about before it uses its copy: their modules import each other by name."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response


def _lifespan(desk: Desk, downloads: Downloads, tools: FastMCP | None) -> Lifespan[FastAPI]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        desk.uploads.recover()
        sweeping = asyncio.create_task(_sweep(desk))
        async with AsyncExitStack() as stack:
            if tools is not None:
                await stack.enter_async_context(tools.session_manager.run())
            yield
        sweeping.cancel()
        downloads.stop()
        desk.uploads.close()

    return lifespan


async def _sweep(desk: Desk) -> None:
    """Removes uploads that nobody continues, once an hour."""
    while True:
        await asyncio.to_thread(desk.uploads.sweep)
        await asyncio.sleep(_SWEEP_S)
