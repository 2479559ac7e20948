"""The page's own parts: a template, and a script in `assets/` that brings it to life."""

from collections.abc import Sequence
from typing import Any

import gradio as gr

from seedvr_engine.ui.parts import script_of
from seedvr_engine.ui.words import BROWSER


def part(
    name: str, template: str, *, events: Sequence[str] = (), value: Any = None, **options: Any
) -> gr.HTML:
    """A component drawn by `assets/NAME.js` inside a template.

    template: HTML without variables, so that a new value never replaces what the script has drawn.
    events: names that the script triggers; each becomes a method that listens (`part.finished(...)`).
    """
    # Gradio offers an event when its name stands in the script in quotes.
    told = "".join(f"// '{event}'\n" for event in events)
    return gr.HTML(
        value=value,
        html_template=template,
        js_on_load=told + script_of(name),
        apply_default_css=False,
        words=BROWSER,
        **options,
    )
