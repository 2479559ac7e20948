"""Takes the pictures of the page in docs/images: `python -m tests.ui.screenshots`.

They show the real page with a real job; look at them afterwards as a stranger to the page would.
"""

import io
import re
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, expect

from tests.server.serving import serving
from tests.ui.browser import chromium
from tests.ui.visitor import Visitor

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "images"
_DESKTOP = {"viewport": {"width": 1180, "height": 860}}
_PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


def main() -> None:
    """Takes them all, anew."""
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder)) as server,
        chromium() as browser,
    ):
        job, state = _desktop(browser, server.url)
        _others(browser, server.url, server.folder, job, state)


def _desktop(browser: Browser, url: str) -> tuple[str, object]:
    """A visit from the first sight to the result, in light. Returns the job and the cookies that own it."""
    visitor = Visitor(browser, url, **_DESKTOP)
    visitor.open()
    expect(visitor.button("Old film")).to_be_visible()
    _shoot(visitor, "page_start")
    visitor.button("Old film").click()
    expect(visitor.forecast).to_be_visible()
    expect(visitor.page.get_by_alt_text("The chosen moment")).to_be_visible()
    _shoot(visitor, "page_chosen", whole=True)
    # One second of it is enough for the rest.
    visitor.open_advanced()
    visitor.page.get_by_role("textbox", name=re.compile("^End")).press_sequentially("1")
    job = visitor.restore()
    expect(visitor.page.get_by_alt_text("The same frame, restored")).to_be_visible(timeout=300_000)
    _shoot(visitor, "page_running")
    expect(visitor.link("Download")).to_be_visible(timeout=600_000)
    _show_comparison(visitor)
    _shoot(visitor, "page_result")
    state = visitor.context.storage_state()
    visitor.context.close()
    return job, state


def _others(browser: Browser, url: str, folder: Path, job: str, state: object) -> None:
    """The same result in dark and on a phone, and what a failure looks like."""
    dark = Visitor(browser, url, color_scheme="dark", storage_state=state, **_DESKTOP)
    dark.open(f"/?job={job}")
    _show_comparison(dark)
    _shoot(dark, "page_result_dark")
    phone = Visitor(browser, url, storage_state=state, **_PHONE)
    phone.open(f"/?job={job}")
    _show_comparison(phone)
    _shoot(phone, "page_phone_result")
    phone.button("Restore another clip").click()
    _shoot(phone, "page_phone_start")
    _fail(dark, folder)
    _shoot(dark, "page_failed_dark")
    for visitor in (dark, phone):
        visitor.context.close()


def _fail(visitor: Visitor, folder: Path) -> None:
    """A job whose file is gone when its turn comes."""
    name, data = "holiday_1994.mp4", visitor.context.request.get("/api/examples/old_film").body()
    for _ in range(2):
        job = visitor.submit(name, data)
    visitor.lose_inputs(folder)
    for other in visitor.context.request.get("/api/jobs").json():
        if other["id"] != job and other["state"] in ("queued", "running"):
            visitor.context.request.post(f"/api/jobs/{other['id']}/cancel", headers={"origin": visitor.url})
    visitor.open(f"/?job={job}")
    expect(visitor.page.get_by_role("alert").first).to_be_visible(timeout=60_000)


def _show_comparison(visitor: Visitor) -> None:
    """Waits for the pictures, and for the copies that are played."""
    expect(visitor.page.locator("#sv-result .compare")).to_be_visible()
    expect(visitor.page.locator("#sv-result .compare-note")).to_be_hidden(timeout=120_000)


def _shoot(visitor: Visitor, name: str, *, whole: bool = False) -> None:
    visitor.page.evaluate("document.activeElement?.blur()")
    visitor.page.wait_for_function(
        "[...document.images].every((image) => image.offsetParent === null || image.complete)"
    )
    picture = Image.open(io.BytesIO(visitor.page.screenshot(full_page=whole, animations="disabled")))
    # 256 colours are enough for a page, and a third of the bytes.
    picture.convert("RGB").quantize(256).save(FOLDER / f"{name}.png", optimize=True)
    print(FOLDER / f"{name}.png")


if __name__ == "__main__":
    main()
