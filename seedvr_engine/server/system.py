"""The machine and its models: /api/models, /api/system, /healthz, /metrics."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from seedvr_engine import __version__
from seedvr_engine.jobs.downloads import Download, Downloads
from seedvr_engine.jobs.processor import SeedVRProcessor
from seedvr_engine.server.answers import Problem
from seedvr_engine.server.shapes import DownloadView, ModelView
from seedvr_engine.settings import Settings


def system_router(settings: Settings, processor: SeedVRProcessor, downloads: Downloads) -> APIRouter:
    """What is there, what is missing, how it goes."""
    router = APIRouter(tags=["system"])
    registry = CollectorRegistry()
    registry.register(_Gauges(processor))

    @router.get("/api/models")
    def models() -> list[ModelView]:
        """The models, present or not."""
        return [model_view(model) for model in processor.check_available_models()]

    @router.post("/api/models/{name}/download", status_code=202)
    def download(name: str) -> DownloadView:
        """Fetches a model in the background; asked again, it goes on."""
        return _download_view(downloads.start(name))

    @router.get("/api/models/{name}/download")
    def download_state(name: str) -> DownloadView:
        """How a model's download stands."""
        return _download_view(downloads.state(name))

    @router.get("/api/system")
    def system() -> dict[str, Any]:
        """GPUs, memory, disk, worker, and the limits of this server."""
        limits = ("timeout_s", "max_upload_bytes", "max_duration_s", "max_pixels", "max_queued_per_visitor")
        return {
            "version": __version__,
            **asdict(processor.system()),
            "limits": {name: getattr(settings, name) for name in limits},
        }

    @router.get("/healthz", include_in_schema=False)
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/metrics", include_in_schema=False)
    def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return router


def model_view(model: Any) -> ModelView:
    """A model without its place on the disk."""
    return ModelView(**{name: getattr(model, name) for name in ModelView.model_fields})


def _download_view(download: Download) -> DownloadView:
    problem = download.problem
    told = problem and Problem(code=problem.code, message=problem.message, remedy=problem.remedy)
    return DownloadView(
        model=download.model,
        state=download.state,
        done_bytes=download.done_bytes,
        total_bytes=download.total_bytes,
        error=told or None,
    )


class _Gauges(Collector):
    """What an operator of one machine watches, read when it is asked for."""

    def __init__(self, processor: SeedVRProcessor) -> None:
        self._processor = processor

    def collect(self) -> Iterator[Metric]:
        status = self._processor.system()
        jobs = GaugeMetricFamily("seedvr_jobs", "Jobs by state.", labels=["state"])
        for state, count in self._processor.counts().items():
            jobs.add_metric([state], count)
        yield jobs
        yield _gauge("seedvr_disk_free_bytes", "Left where results go.", status.disk_free_bytes)
        yield _gauge("seedvr_host_memory_free_bytes", "Host memory left.", status.host_free_bytes)
        yield _gauge("seedvr_worker_up", "1 while a worker runs.", float(status.worker != "off"))
        memory = GaugeMetricFamily("seedvr_gpu_memory_used_bytes", "GPU memory in use.", labels=["gpu"])
        for gpu in status.gpus:
            memory.add_metric([gpu.name], gpu.total_bytes - gpu.free_bytes)
        yield memory


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)
