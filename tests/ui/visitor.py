"""Somebody who uses the page: finds things by what they are called, as people and screen readers do."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Browser, Locator, Request, expect

JOB_MS = 90_000
PAGE_MS = 30_000


class Visitor:
    """A browser profile with one tab."""

    def __init__(self, browser: Browser, url: str, **options: Any) -> None:
        self.url = url
        self.context = browser.new_context(base_url=url, **options)
        self.context.set_default_timeout(PAGE_MS)
        self.foreign_requests: list[str] = []
        self.script_errors: list[str] = []
        self.context.on("request", self._note)
        self.page = self.context.new_page()
        self.page.on("pageerror", lambda error: self.script_errors.append(str(error)))

    def open(self, path: str = "/") -> None:
        """Opens the page and waits until its parts are alive."""
        self.page.goto(path)
        expect(self.page.get_by_role("heading", name="Your clips", exact=True)).to_be_visible(timeout=PAGE_MS)

    def choose(self, *files: Path) -> None:
        """Uploads files, and waits until the page tells what will come of the first."""
        self.page.get_by_label("Choose videos or pictures to upload").set_input_files(files)
        expect(self.forecast).to_be_visible(timeout=PAGE_MS)

    def open_advanced(self) -> None:
        """Unfolds all options."""
        self.page.get_by_role("button", name="Advanced").click()
        expect(self.page.get_by_label("Width in pixels")).to_be_visible()

    def restore(self) -> str:
        """Presses the big button; returns the job's id from the address."""
        self.button("Restore").click()
        self.page.wait_for_url("**?job=*", timeout=PAGE_MS)
        return self.job

    def start(self, *files: Path) -> str:
        """From nothing to a job under way."""
        self.open()
        self.choose(*files)
        return self.restore()

    def wait_until_done(self) -> None:
        """Until the result is shown."""
        expect(self.link("Download")).to_be_visible(timeout=JOB_MS)

    def wait_until_running(self) -> None:
        """Until work has begun."""
        expect(self.progress).not_to_have_attribute("aria-valuenow", "0", timeout=JOB_MS)

    def state(self, job: str) -> str:
        """A job's state, asked as the page asks."""
        return str(self.context.request.get(f"/api/jobs/{job}").json()["state"])

    @property
    def job(self) -> str:
        """The job in the address."""
        return parse_qs(urlsplit(self.page.url).query)["job"][0]

    @property
    def forecast(self) -> Locator:
        """What will come."""
        return self.page.get_by_label("What will come")

    @property
    def progress(self) -> Locator:
        """The bar of the running job."""
        return self.page.get_by_role("progressbar", name="Progress")

    def button(self, name: str) -> Locator:
        """The visible button of this very name."""
        return self.page.get_by_role("button", name=name, exact=True)

    def link(self, name: str) -> Locator:
        """The visible link of this very name."""
        return self.page.get_by_role("link", name=name, exact=True)

    def alert(self, text: str) -> Locator:
        """A visible card about a failure that says this."""
        return self.page.get_by_role("alert").filter(has_text=text).first

    def submit(self, name: str, data: bytes, options: str = "{}") -> str:
        """A job of this visitor's, without the page."""
        answer = self.context.request.post(
            "/api/jobs",
            headers={"origin": self.url},
            multipart={
                "file": {"name": name, "mimeType": "video/mp4", "buffer": data},
                "options": options,
            },
        )
        assert answer.status == 201, answer.text()
        return str(answer.json()["id"])

    def lose_inputs(self, folder: Path, job: str | None = None) -> None:
        """Removes the file behind a job, or all of them, from the server's disk, as people do."""
        digest = self.context.request.get(f"/api/jobs/{job}").json()["input"]["hash"] if job else ""
        lost = list((folder / "data" / "inputs").glob(f"{digest}*"))
        assert lost
        for path in lost:
            path.unlink()

    def leave(self) -> None:
        """Stops whatever is left running, and closes the browser profile."""
        self.context.set_offline(False)
        for job in self.context.request.get("/api/jobs").json():
            self.context.request.delete(f"/api/jobs/{job['id']}")
        self.context.close()

    def _note(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme not in ("data", "blob") and not request.url.startswith(f"{self.url}/"):
            self.foreign_requests.append(request.url)
