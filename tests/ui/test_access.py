"""The page on a phone, by keyboard alone, and for screen readers, in light and dark."""

from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.media.clips import scene, write_clip
from tests.server.serving import Server
from tests.ui.conftest import NewVisitor
from tests.ui.visitor import Visitor

Scheme = Literal["light", "dark"]


def serious_faults(page: Page) -> list[str]:
    """What axe-core finds, and where."""
    found: list[dict[str, Any]] = Axe().run(page).response["violations"]
    return [
        f"{fault['id']}: {node['html'][:160]}"
        for fault in found
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault_on_the_main_states(visit: NewVisitor, clip: Path, scheme: Scheme) -> None:
    visitor = visit(color_scheme=scheme)
    visitor.open("/?job=0123456789abcdef0123456789abcdef")
    expect(visitor.page.get_by_role("heading", name="This clip is not here")).to_be_visible()
    assert serious_faults(visitor.page) == []
    visitor.button("Restore another clip").click()
    visitor.button("Restore").click()
    expect(visitor.alert("No clip is chosen yet.")).to_be_visible()
    visitor.page.get_by_text("This machine and its models").click()
    expect(visitor.page.get_by_text("SeedVR2 7B sharp").first).to_be_visible()
    visitor.open_advanced()
    visitor.choose(clip)
    assert serious_faults(visitor.page) == []
    visitor.restore()
    expect(visitor.progress).to_be_visible()
    assert serious_faults(visitor.page) == []
    visitor.wait_until_done()
    expect(visitor.page.get_by_role("region", name="What was used")).to_be_visible()
    assert serious_faults(visitor.page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault_where_clips_wait_or_fail(
    visit: NewVisitor, server: Server, clip: Path, long_clip: Path, tmp_path: Path, scheme: Scheme
) -> None:
    lost = write_clip(tmp_path / "lost.mp4", scene(9, 5, (48, 64)))
    visitor = visit(color_scheme=scheme)
    # Minutes of work, which nobody waits for.
    running = visitor.submit(long_clip.name, long_clip.read_bytes(), '{"size": "1024x768"}')
    failing = visitor.submit(lost.name, lost.read_bytes())
    visitor.lose_inputs(server.folder, failing)
    visitor.open()
    visitor.choose(clip, write_clip(tmp_path / "house.mp4", scene(4, 5, (48, 64))))
    visitor.button("Restore").click()
    visitor.page.wait_for_url("**?batch=*")
    assert serious_faults(visitor.page) == []
    visitor.open(f"/?job={failing}")
    expect(visitor.page.get_by_role("heading", name="Waiting: lost.mp4")).to_be_visible()
    assert serious_faults(visitor.page) == []
    visitor.open(f"/?job={running}")
    visitor.button("Stop").click()
    expect(visitor.page.get_by_role("heading", name="Stopped:")).to_be_visible(timeout=15_000)
    assert serious_faults(visitor.page) == []
    visitor.open(f"/?job={failing}")
    expect(visitor.alert("This file could not be used")).to_be_visible(timeout=60_000)
    visitor.page.get_by_text("Technical details").first.click()
    assert serious_faults(visitor.page) == []


def test_everything_fits_on_a_phone(visit: NewVisitor, clip: Path) -> None:
    visitor = visit(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    visitor.open()
    assert_fits(visitor)
    visitor.choose(clip)
    visitor.open_advanced()
    assert_fits(visitor)
    assert (visitor.button("Restore").bounding_box() or {})["height"] >= 44
    visitor.restore()
    assert_fits(visitor)
    visitor.wait_until_done()
    expect(visitor.page.locator("#sv-result .compare")).to_be_visible()
    assert_fits(visitor)


def test_a_clip_is_restored_and_stopped_by_keyboard_alone(visit: NewVisitor) -> None:
    visitor = visit()
    visitor.open()
    expect(visitor.button("Old film")).to_be_visible()
    tab_to(visitor.page, "Old film")
    visitor.page.keyboard.press("Enter")
    expect(visitor.forecast).to_be_visible()
    tab_to(visitor.page, "Restore")
    visitor.page.keyboard.press("Enter")
    expect(visitor.progress).to_be_visible()
    tab_to(visitor.page, "Stop")
    visitor.page.keyboard.press("Space")
    expect(visitor.page.get_by_role("heading", name="Stopped:")).to_be_visible(timeout=15_000)


def tab_to(page: Page, name: str) -> None:
    """Presses Tab until something of this name has the focus, which must be visible there."""
    for _ in range(80):
        page.keyboard.press("Tab")
        focused = page.evaluate(
            """() => { const at = document.activeElement; const style = getComputedStyle(at);
                return [at.ariaLabel || at.innerText || '', style.outlineStyle, style.boxShadow]; }"""
        )
        if focused[0].strip() == name:
            assert focused[1] != "none" or focused[2] != "none", f"the focus on {name} cannot be seen"
            return
    raise AssertionError(f"Tab never reaches {name}")


def assert_fits(visitor: Visitor) -> None:
    """Nothing is wider than the screen."""
    width = visitor.page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390, f"{width} pixels wide"
