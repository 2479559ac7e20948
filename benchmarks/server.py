"""Times what the server answers while it restores, and weighs its process over many jobs.

    python -m benchmarks.server                 20 visitors who look once a second while a job runs
    python -m benchmarks.server --jobs 300      memory of the web process over so many small jobs

The server, its worker and the visitors share the machine. A visitor asks for their job (as an open page does
once a second) and now and then for the page itself.
"""

import argparse
import asyncio
import itertools
import statistics
import tempfile
import time
from pathlib import Path

import httpx
import psutil

from tests.media.clips import scene, write_clip
from tests.server.serving import Server, serving, small_clip, submit, wait_for

PERIOD_S = 1.0
# One page in so many looks.
PAGE_EVERY = 10


async def look(
    server: Server, cookies: httpx.Cookies, job: str, until: float, start: float
) -> dict[str, list]:
    """One visitor's latencies in seconds, by what was asked for."""
    seconds: dict[str, list] = {"/api/jobs/ID": [], "page": []}
    async with httpx.AsyncClient(base_url=server.url, cookies=cookies, timeout=30) as client:
        await asyncio.sleep(start)
        for turn in itertools.count():
            if time.monotonic() > until:
                return seconds
            kind, path = ("page", "/") if turn % PAGE_EVERY == 0 else ("/api/jobs/ID", f"/api/jobs/{job}")
            began = time.perf_counter()
            (await client.get(path)).raise_for_status()
            took = time.perf_counter() - began
            seconds[kind].append(took)
            await asyncio.sleep(max(0.0, PERIOD_S - took))
    raise AssertionError


def p95_ms(seconds: list[float]) -> float:
    """The 95th percentile in milliseconds."""
    return 1000 * statistics.quantiles(seconds, n=20)[-1]


def time_answers(folder: Path, visitors: int, seconds: float) -> None:
    """Prints latencies while a job runs."""
    clip = write_clip(folder / "long.mp4", scene(1, 400, (240, 320), speed=0.5))
    with serving(folder / "server") as server, server.client() as client:
        client.get("/").raise_for_status()
        job = submit(client, clip, size="2x")["id"]
        wait_for(client, job, "running")
        until = time.monotonic() + seconds

        async def all_of_them() -> list[dict[str, list]]:
            starts = (PERIOD_S * number / visitors for number in range(visitors))
            return await asyncio.gather(
                *(look(server, client.cookies, job, until, start) for start in starts)
            )

        told = asyncio.run(all_of_them())
        now = client.get(f"/api/jobs/{job}").json()
        client.post(f"/api/jobs/{job}/cancel")
        wait_for(client, job, "cancelled", "done")
    print(f"{visitors} visitors, {seconds:.0f} s, job {now['state']} at {now['progress']:.0%}")
    for kind in told[0]:
        times = [value for one in told for value in one[kind]]
        print(
            f"{kind:14} {len(times):5} answers, median {1000 * statistics.median(times):.0f} ms, "
            f"p95 {p95_ms(times):.0f} ms, longest {1000 * max(times):.0f} ms"
        )


def weigh(folder: Path, jobs: int) -> None:
    """Prints the web process's memory while small jobs come and go."""
    clip = small_clip(folder / "small.mp4")
    with serving(folder / "server") as server, server.client() as client:
        process = psutil.Process(server.process.pid)
        for number in range(1, jobs + 1):
            job = submit(client, clip, seed=number)["id"]
            with client.stream("GET", f"/api/jobs/{job}/events") as events:
                for _ in events.iter_lines():
                    pass
            client.get("/")
            if number in (1, 5, 10) or number % 20 == 0:
                print(f"{number:4} jobs: {process.memory_info().rss / 1e6:.1f} MB", flush=True)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--visitors", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--jobs", type=int, default=0, help="weigh the web process over so many jobs")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if given.jobs:
            weigh(Path(folder), given.jobs)
        else:
            time_answers(Path(folder), given.visitors, given.seconds)


if __name__ == "__main__":
    main()
