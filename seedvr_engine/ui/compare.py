"""The comparison of original and restored: exact stills of any frame, two videos played in step.

The browser's side is `assets/compare.js`; it speaks with `server.views`.
"""

from typing import Any

import gradio as gr

from seedvr_engine.ui.parts import script_of, style_of

_TEMPLATE = '<div class="compare" hidden></div>'


def comparison(value: dict[str, Any] | None = None, *, elem_id: str | None = None, **options: Any) -> gr.HTML:
    """A Gradio component that compares a job's result with its original.

    value: `{"job": ID}` of a job that is done, previews included; everything else it asks the server. With
    `"frame": N` it begins at that frame. None hides it.
    options: as for `gr.HTML`.
    """
    return gr.HTML(
        value=value,
        html_template=_TEMPLATE,
        css_template=style_of("compare"),
        js_on_load=script_of("compare"),
        apply_default_css=False,
        elem_id=elem_id,
        **options,
    )
